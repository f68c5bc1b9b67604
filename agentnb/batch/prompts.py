"""Prompts of rows: templates whose ``{{name}}`` is replaced by values, or a callable's results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentnb.batch.items import ITEM, Items, is_missing
from agentnb.errors import AgentnbError, RequestError
from agentnb.platforms.media import MediaLike, media_items

PromptLike = str | Callable[[Any], str] | None
"""A template, a callable that takes the row, or None: the items are the prompts."""

# No name contains braces.
_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]*)\}\}")
_MAX_NAMES: Final = 20


@dataclass(slots=True)
class RowPrompt:
    """Prompt and attachments of a row."""

    prompt: str
    media: tuple[MediaLike, ...]


@dataclass(slots=True)
class InvalidRow:
    """Reason why a row cannot be sent; ``code`` is its kind, ``cause`` the exception, if any."""

    message: str
    code: str
    cause: Exception | None = None


def prompts(
    items: Items,
    prompt: PromptLike,
    media: MediaLike | Sequence[MediaLike] | Callable[[Any], Any] = (),
) -> Iterator[RowPrompt | InvalidRow]:
    """Return the prompts of the rows of ``items``, lazily, in order.

    In a template ``{{name}}`` is replaced by ``str`` of the row's value of that name.  No
    expressions are evaluated, single braces are kept, and values are not scanned for placeholders.
    A row in which a value of the prompt is missing is invalid, so that no prompt has a gap or the
    word "nan".

    Raises:
        RequestError: the template has a name that the rows lack.
    """
    template = _template(items, prompt)
    make_media = media if callable(media) else None
    shared_media = () if callable(media) else media_items(media)
    rows = items.rows(
        template.names if template else (), whole=template is None or make_media is not None
    )

    def generate() -> Iterator[RowPrompt | InvalidRow]:
        for row, values in rows:
            if isinstance(values, RequestError):
                yield InvalidRow(values.message, code="unknown_name")
                continue
            text = template.fill(values) if template else _call_prompt(prompt, row)
            if isinstance(text, InvalidRow):
                yield text
            elif make_media is None:
                yield RowPrompt(text, shared_media)
            else:
                own_media = _call(make_media, row, kind="media")
                if not isinstance(own_media, InvalidRow):
                    own_media = RowPrompt(text, media_items(own_media))
                yield own_media

    return generate()


class _Template:
    """Alternating texts and names; there is one text more than names."""

    def __init__(self, texts: Sequence[str], names: Sequence[str]) -> None:
        self.names = names
        self._texts = texts

    def fill(self, values: Sequence[Any]) -> str | InvalidRow:
        parts = [self._texts[0]]
        for name, value, text in zip(self.names, values, self._texts[1:], strict=True):
            if is_missing(value):
                return InvalidRow(
                    f"'{name}' is missing in the row, which was not sent.", code="missing_value"
                )
            parts += (str(value), text)
        return "".join(parts)


class _ItemTemplate(_Template):
    """The single value of a row, which is its prompt."""

    def __init__(self, name: str) -> None:
        super().__init__(("", ""), (name,))

    def fill(self, values: Sequence[Any]) -> str | InvalidRow:
        return super().fill(values) if is_missing(values[0]) else _check_text(values[0])


def _template(items: Items, prompt: PromptLike) -> _Template | None:
    """Return the template of ``prompt``, None if that is a callable."""
    if callable(prompt):
        return None
    names = items.names()
    if prompt is None:
        # The column of a Series has a second name.
        if names is not None and len(names) > 1 and names[1:] != [ITEM]:
            raise RequestError(
                f"Each row has {_list_names(names)}, and nothing says what to ask.",
                hint=f"Give a prompt, as in 'Compare {{{{{names[0]}}}}} with {{{{{names[1]}}}}}'.",
            )
        return _ItemTemplate(names[0] if names else ITEM)
    parts = _PLACEHOLDER.split(prompt)
    used = [name.strip() for name in parts[1::2]]
    if names is not None and (unknown := [name for name in used if name not in names]):
        placeholders = ", ".join(f"{{{{{name}}}}}" for name in dict.fromkeys(unknown))
        raise RequestError(
            f"The prompt names {placeholders}; each row has {_list_names(names)}.",
            hint="A callable, row -> prompt, may hold whatever braces it likes.",
        )
    return _Template(parts[::2], used)


def _list_names(names: Sequence[str]) -> str:
    listed = ", ".join(names[:_MAX_NAMES]) or "nothing"
    return f"{listed} and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else listed


def _check_text(prompt: Any) -> str | InvalidRow:
    if isinstance(prompt, str):
        return prompt
    kind = type(prompt).__name__
    return InvalidRow(f"The prompt of the row is no text, but a {kind}.", code="prompt")


def _call_prompt(function: Any, row: Any) -> str | InvalidRow:
    prompt = _call(function, row, kind="prompt")
    return prompt if isinstance(prompt, InvalidRow) else _check_text(prompt)


def _call(function: Any, row: Any, *, kind: str) -> Any:
    try:
        return function(row)
    except AgentnbError as error:
        return InvalidRow(error.message, code=kind, cause=error)
    except Exception as error:
        message = " ".join(str(error).split())
        name = type(error).__name__
        return InvalidRow(
            f"The {kind} of the row could not be made: {name}{f': {message}' if message else ''}.",
            code=kind,
            cause=error,
        )

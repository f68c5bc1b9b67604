"""From a row to what it asks: ``{{name}}`` replaced by values, or whatever a callable makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from agentnb.batch.items import Items, is_missing
from agentnb.errors import AgentnbError, RequestError
from agentnb.platforms.media import MediaLike, media_items

__all__ = ["Asked", "PromptLike", "Unasked", "prompts"]

PromptLike = str | Callable[[Any], str] | None
"""A template, a callable that is given the row, or None: the items are the prompts."""

# Without braces inside: whatever holds some is no name.
_PLACE: Final = re.compile(r"\{\{([^{}]*)\}\}")
# So many names stand in a message.
_SHOWN: Final = 20


class Asked:
    """What a row asks; it is the input's next one."""

    __slots__ = ("media", "prompt")

    def __init__(self, prompt: str, media: tuple[MediaLike, ...]) -> None:
        self.prompt = prompt
        self.media = media


class Unasked:
    """Why a row asks nothing: ``code`` names the kind of reason; ``cause`` was raised."""

    __slots__ = ("cause", "code", "message")

    def __init__(self, message: str, *, code: str, cause: Exception | None = None) -> None:
        self.message = message
        self.code = code
        self.cause = cause


def prompts(
    items: Items,
    prompt: PromptLike,
    media: MediaLike | Sequence[MediaLike] | Callable[[Any], Any] = (),
) -> Iterator[Asked | Unasked]:
    """Return what each row of ``items`` asks, lazily, in order.

    In a template ``{{name}}`` stands for the row's value of that name, as ``str`` has it.  No
    expression is evaluated, single braces are left alone, and nothing that a value brings is looked
    at again.  A row in which a value of the prompt is missing is not asked: no prompt has a hole in
    it, nor the word "nan".

    Raises:
        RequestError: the template names what the rows do not have.
    """
    template = _template(items, prompt)
    make_media = media if callable(media) else None
    given = () if callable(media) else media_items(media)
    whole = callable(prompt) or make_media is not None
    rows = items.rows(template.names if template else (), whole=whole)

    def asked() -> Iterator[Asked | Unasked]:
        for row, values in rows:
            if isinstance(values, RequestError):
                yield Unasked(values.message, code="unknown_name")
                continue
            if template is not None:
                made = template.filled(values)
            else:
                made = _called(prompt, row, what="prompt")
                if not isinstance(made, str | Unasked):
                    made = Unasked(
                        f"The prompt of the row is no text, but a {type(made).__name__}.",
                        code="prompt",
                    )
            if isinstance(made, Unasked):
                yield made
                continue
            if make_media is None:
                yield Asked(made, given)
                continue
            brought = _called(make_media, row, what="media")
            yield brought if isinstance(brought, Unasked) else Asked(made, media_items(brought))

    return asked()


class _Template:
    """Literal text and names in turn: ``texts`` has one more than ``names``."""

    def __init__(self, texts: Sequence[str], names: Sequence[str]) -> None:
        self.names = names
        self._texts = texts

    def filled(self, values: Sequence[Any]) -> str | Unasked:
        pieces = [self._texts[0]]
        for name, value, text in zip(self.names, values, self._texts[1:], strict=True):
            if is_missing(value):
                return Unasked(
                    f"'{name}' is missing in the row, which was not sent.", code="missing_value"
                )
            pieces += (str(value), text)
        return "".join(pieces)


class _Alone(_Template):
    """The one value of a row, which is its prompt."""

    def __init__(self, name: str) -> None:
        super().__init__(("", ""), (name,))

    def filled(self, values: Sequence[Any]) -> str | Unasked:
        if isinstance(values[0], str) or is_missing(values[0]):
            return super().filled(values)
        kind = type(values[0]).__name__
        return Unasked(f"The prompt of the row is no text, but a {kind}.", code="prompt")


def _template(items: Items, prompt: PromptLike) -> _Template | None:
    """Return the template that ``prompt`` is; None where it is a callable."""
    if callable(prompt):
        return None
    known = items.names()
    if prompt is None:
        # A Series has its own name for its one column, and another.
        if known is not None and len(known) > 1 and known[1:] != ["item"]:
            raise RequestError(
                f"Each row has {_listed(known)}, and nothing says what to ask.",
                hint="Give a prompt, as in 'Compare {{"
                + known[0]
                + "}} with {{"
                + known[1]
                + "}}'.",
            )
        return _Alone(known[0] if known else "item")
    pieces = _PLACE.split(prompt)
    names = [name.strip() for name in pieces[1::2]]
    if known is not None and (unknown := [name for name in names if name not in known]):
        raise RequestError(
            "The prompt names "
            + ", ".join(f"{{{{{name}}}}}" for name in dict.fromkeys(unknown))
            + f"; each row has {_listed(known)}.",
            hint="A callable, row -> prompt, may hold whatever braces it likes.",
        )
    return _Template(pieces[::2], names)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown or "nothing"


def _called(function: Any, row: Any, *, what: str) -> Any:
    try:
        return function(row)
    except AgentnbError as error:
        return Unasked(error.message, code=what, cause=error)
    except Exception as error:
        message = " ".join(str(error).split())
        name = type(error).__name__
        return Unasked(
            f"The {what} of the row could not be made: {name}{f': {message}' if message else ''}.",
            code=what,
            cause=error,
        )

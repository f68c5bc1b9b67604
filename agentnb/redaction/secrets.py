"""Secrets known to this process, and their redaction."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, cast

from agentnb._support.fork import after_fork_in_child

if TYPE_CHECKING:
    from pydantic import SecretStr

#: Replaces a secret.
MASK: Final = "***"
#: Characters at the beginning of a secret that reveal nothing: any text may end with them.
HARMLESS: Final = 3

# Shorter values are placeholders such as "test"; masking them would garble text.
_SECRET_CHARS: Final = 8
# The last word of a name whose value must stay secret; `max_tokens` does not.
_SECRET_WORDS: Final = frozenset(
    {"apikey", "authorization", "cookie", "key", "passwd", "password", "secret", "token"}
)
# Names whose value is always a secret; `sort_key` and `page_token` are not.
_ALWAYS: Final = _SECRET_WORDS - {"key", "token"}
_ALWAYS_BEFORE: Final[dict[str, frozenset[str]]] = {
    "key": frozenset({"access", "api", "auth", "private", "secret", "signing"}),
    "token": frozenset({"access", "api", "auth", "bearer", "id", "refresh", "secret", "session"}),
}
# Words as in api_key, Api-Key and apiKey.
_WORDS: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
# A key's usual prefix followed by characters that no agent name has; or a JSON web token.
_KEY_LIKE: Final = re.compile(
    r"(?:sk|pk|rk|ghp|gho|hf|xox[a-z])[-_](?=.*[0-9])(?=.*[A-Za-z0-9]{16})[\w-]+"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
)
# Length in characters from which mixed digits and letters count as opaque, and from which a single
# word of the environment counts as a key without digits.
_OPAQUE: Final = 16
_PASSPHRASE: Final = 20
# How many levels of JSON nested in JSON strings are searched.
_ESCAPED: Final = 3


class _Known:
    """The secrets in every form in which text can contain them, longest first."""

    __slots__ = ("forms", "hint", "pattern")

    def __init__(self, forms: Iterable[str] = ()) -> None:
        self.forms = tuple(sorted(forms, key=lambda form: (-len(form), form)))
        self.pattern = re.compile("|".join(map(re.escape, self.forms)))
        # The first characters of a secret anywhere, or fewer of them at the end.
        self.hint = re.compile("|".join({_start(form) for form in self.forms}) or r"(?!)")

    # Tracebacks may print the values of variables.
    def __repr__(self) -> str:
        return f"<{len(self.forms)} forms of secrets>"


_lock = threading.Lock()
_known = _Known()


def remember_secret(value: SecretStr | str) -> None:
    """Redact ``value`` from now on; of "Bearer KEY" also the key alone.

    Values of fewer than 8 characters are placeholders, not secrets.
    """
    global _known
    plain = (value if isinstance(value, str) else value.get_secret_value()).strip()
    found = {
        form
        for part in (plain, plain.rpartition(" ")[2])
        if len(part) >= _SECRET_CHARS
        for form in _escapes(part)
    }
    if not found.issubset(_known.forms):
        with _lock:
            _known = _Known(found.union(_known.forms))


def remember_environment() -> None:
    """Redact the API keys of the environment from now on, used or not.

    An unused value counts if it looks like a key: one word of digits and letters of at least 8
    characters, or any word of 20.  A word such as "completed" would be redacted in every answer.
    """
    for name, value in os.environ.items():
        value = value.strip()
        if name.endswith("_API_KEY") and (
            _is_mixed(value, _SECRET_CHARS) or (_is_one_word(value) and len(value) >= _PASSPHRASE)
        ):
            remember_secret(value)


def has_secret(text: str) -> bool:
    """Return whether `mask` would change ``text``."""
    return any(map(text.__contains__, _known.forms))


def mask(text: str) -> str:
    """Return ``text`` with ``***`` for each known secret, as it is or escaped as JSON."""
    return _known.pattern.sub(MASK, text) if has_secret(text) else text


def mask_value(value: Any, *, names: bool = False) -> Any:
    """Return JSON-like ``value`` with all texts masked; with ``names``, also values named secret.

    Other objects are returned unchanged.

    Raises:
        RecursionError: ``value`` nests too deeply.
    """
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {
            mask(name) if isinstance(name, str) else name: MASK
            if names and item is not None and isinstance(name, str) and is_secret_name(name)
            else mask_value(item, names=names)
            for name, item in cast("Mapping[Any, Any]", value).items()
        }
    if isinstance(value, list | tuple):
        return [mask_value(item, names=names) for item in cast("Sequence[Any]", value)]
    return value


def mask_pieces(pieces: Sequence[str]) -> list[str] | None:
    """Return ``pieces`` of one text with secrets masked, including secrets split across pieces.

    The mask is in the piece in which the secret begins.  Return None if there is no secret.
    """
    whole = "".join(pieces)
    if not has_secret(whole):
        return None
    characters = list(whole)
    for found in _known.pattern.finditer(whole):
        start, end = found.span()
        characters[start:end] = [MASK, *[""] * (end - start - 1)]
    bounds = accumulate(map(len, pieces), initial=0)
    return ["".join(characters[start:end]) for start, end in pairwise(bounds)]


def near_secret(text: str) -> str:
    """Return where a secret may begin in ``text``, or "" if none does; a quick check.

    At most `HARMLESS` characters are the end of ``text``, which may continue as a secret; more
    characters are the beginning of a possible secret.
    """
    found = _known.hint.search(text)
    return found[0] if found is not None else ""


def may_begin_secret(text: str) -> bool:
    """Return whether ``text`` ends with what could be the beginning of a secret."""
    return bool(_secret_prefix(text))


def mask_growing(text: str, released: int) -> tuple[str, str, int]:
    """Mask a growing text, of which the first ``released`` characters were released before.

    Return the masked rest; the end of ``text`` that could be the beginning of a secret; and the
    number of characters at the end of the rest to keep back until the text continues.  Fewer than 4
    characters are not kept back, so that "s" does not wait for "sk-".
    """
    kept: list[str] = []
    done = start = 0
    for found in _known.pattern.finditer(text) if has_secret(text) else ():
        begin, done = found.span()
        if begin >= released:
            kept += (text[max(start, released) : begin], MASK)
        elif done > released and not gives_away(text[begin:released]):
            kept.append(MASK)
        start = done
    start = max(start, released)
    kept.append(text[start:])
    prefix = _secret_prefix(text[done:])
    back = min(len(prefix), len(text) - start) if len(prefix) > HARMLESS else 0
    return "".join(kept), prefix, back


def gives_away(prefix: str) -> bool:
    """Return whether ``prefix``, the beginning of a secret, is long enough to be one itself."""
    return len(prefix) >= _SECRET_CHARS and any(
        form.startswith(prefix) and 2 * len(prefix) >= len(form) for form in _known.forms
    )


def _secret_prefix(text: str) -> str:
    """Return the longest end of ``text`` that could be the beginning of a secret."""
    longest = ""
    for form in _known.forms:
        tail = text[1 - len(form) :]
        start = tail.find(form[0])
        while 0 <= start < len(tail) - len(longest):
            if form.startswith(tail[start:]):
                longest = tail[start:]
                break
            start = tail.find(form[0], start + 1)
    return longest


def is_secret_name(name: str) -> bool:
    """Return whether a value called ``name`` must stay secret: ``api_key``, ``X-Token``."""
    return _WORDS.split(name)[-1].lower() in _SECRET_WORDS


def is_given_secret(name: str, value: Any) -> bool:
    """Return whether a parameter called ``name`` is given a secret with ``value``.

    The name decides if it is unambiguous (``api_key``, ``password``); any other name of a key or
    token needs an opaque value, so ``sort_key=name`` is not a secret.
    """
    if not is_secret_name(name):
        return False
    *before, last = [word.lower() for word in _WORDS.split(name)]
    if last in _ALWAYS or (before and before[-1] in _ALWAYS_BEFORE[last]):
        return True
    if not isinstance(value, str):
        return False
    text = value.strip().strip("\"'")
    return looks_like_key(text) or _is_mixed(text.rpartition(" ")[2], _OPAQUE)


def is_opaque(text: str) -> bool:
    """Return whether ``text`` is one word of digits and letters as long as a key."""
    return _is_mixed(text, _SECRET_CHARS)


def looks_like_key(text: str) -> bool:
    """Return whether ``text``, passed as a name, is a known secret or has the form of one."""
    # Equal, not contained: in development a platform's key may be a word such as its name.
    return mask(text) == MASK or _KEY_LIKE.fullmatch(text) is not None


def _is_mixed(text: str, least: int) -> bool:
    return (
        len(text) >= least
        and _is_one_word(text)
        and any(map(str.isdigit, text))
        and any(map(str.isalpha, text))
    )


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(map(str.isspace, text))


def _start(form: str) -> str:
    """Return a pattern for the first characters of ``form``, or fewer at the end of the text."""
    result = re.escape(form[HARMLESS])
    for character in reversed(form[:HARMLESS]):
        result = f"{re.escape(character)}(?:\\Z|{result})"
    return result


def _escapes(secret: str) -> set[str]:
    """Return the forms of ``secret`` in JSON, in JSON nested in JSON, and so on."""
    forms = {secret}
    for ascii_only in (True, False):
        form = secret
        for _ in range(_ESCAPED):
            form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
            forms.add(form)
    return forms


def _after_fork() -> None:
    # The thread that held it does not exist in the child.
    global _lock
    _lock = threading.Lock()


after_fork_in_child(_after_fork)


class _Mask(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # The handler reports the malformed record.
            return True
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


_filter = _Mask()


def mask_logs() -> None:
    """Redact known keys in all loggers of httpx, httpcore, aiohttp and websockets.

    A filter does not apply to child loggers, so each logger gets it.  Idempotent.
    """
    for name in ("httpx", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("httpx", "httpcore", "aiohttp", "websockets"):
            logging.getLogger(name).addFilter(_filter)

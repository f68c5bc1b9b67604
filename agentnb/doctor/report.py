"""Findings of the checks, and the report of them, without keys and user names."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from agentnb._support import __version__
from agentnb.errors import AgentnbError
from agentnb.redaction.secrets import MASK, looks_like_key, mask
from agentnb.render import one_line

Level = Literal["problem", "note", "ok"]
#: The levels in the order of the report.
LEVELS: Final[tuple[Level, ...]] = ("problem", "note", "ok")

_COLOURS: Final[dict[Level, str]] = {"problem": "\x1b[1;31m", "note": "\x1b[33m", "ok": "\x1b[32m"}
_PLAIN: Final = "\x1b[0m"
_LEVEL_WIDTH: Final = max(map(len, LEVELS))
# Narrower than this many columns, a finding is printed below the name of its check.
_MIN_TEXT_WIDTH: Final = 36
_MAX_TEXT: Final = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check: its name, the message, and a hint what to do, or "".

    A ``problem`` keeps something from working, a ``note`` is worth knowing.
    """

    level: Level
    check: str
    says: str
    hint: str = ""


#: Make a finding: all is well, something is worth knowing, something does not work.
ok = partial(Finding, "ok")
note = partial(Finding, "note")
problem = partial(Finding, "problem")


def failed(check: str, error: AgentnbError, hint: str = "") -> Finding:
    """Return an error of this package as a problem; its own hint takes precedence."""
    return problem(check, error.message, error.hint or hint)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, problems first; ``seconds`` is how long the checks took."""

    findings: tuple[Finding, ...]
    seconds: float

    def of(self, level: Level) -> list[Finding]:
        """Return the findings of one level, in the order of the checks."""
        return [f for f in self.findings if f.level == level]

    @property
    def has_problem(self) -> bool:
        return any(f.level == "problem" for f in self.findings)

    @property
    def summary(self) -> str:
        """Number of findings of each level, in one line."""
        counts = Counter(f.level for f in self.findings)
        problems, notes = _count(counts["problem"], "problem"), _count(counts["note"], "note")
        return f"{problems}, {notes}, {counts['ok']} ok ({self.seconds:.1f} s)"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-compatible data, for bug reports."""
        return {
            "agentnb": __version__,
            "seconds": round(self.seconds, 2),
            "problems": len(self.of("problem")),
            "findings": [
                {"level": f.level, "check": f.check, "finding": f.says, "hint": f.hint or None}
                for f in self.findings
            ],
        }


def as_text(report: Report, *, width: int | None = 80, colour: bool = False) -> str:
    """Return the report as aligned lines of at most ``width`` columns; None does not wrap.

    Only a word longer than a line, such as a path, exceeds the width.
    """
    names = max((len(f.check) for f in report.findings), default=0)
    lines = [line for f in report.findings for line in _lines(f, names, width, colour=colour)]
    return "\n".join([*lines, "", report.summary] if lines else [report.summary])


def _count(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _lines(finding: Finding, names: int, width: int | None, *, colour: bool) -> list[str]:
    level = finding.level.ljust(_LEVEL_WIDTH)
    if colour:
        level = f"{_COLOURS[finding.level]}{level}{_PLAIN}"
    indent = _LEVEL_WIDTH + 2 + names + 2
    name = one_line(finding.check)
    lines, first = [], f"{level}  {name.ljust(names)}  "
    if width is not None and width - indent < _MIN_TEXT_WIDTH:
        indent = 2
        lines, first = [f"{level}  {name}"], "  "
    text = _wrapped(finding.says, "", indent, width)
    text += _wrapped(finding.hint, "→ ", indent, width) if finding.hint else []
    return [*lines, first + text[0], *(" " * indent + line for line in text[1:])]


def _wrapped(text: str, mark: str, indent: int, width: int | None) -> list[str]:
    line = mark + one_line(text, _MAX_TEXT)
    if width is None:
        return [line]
    return textwrap.wrap(
        line,
        width - indent,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


# Home directories of other users, or of this one under another path.
_HOMES: Final = re.compile(
    r"((?:^|[\s:='\"(])(?:[A-Za-z]:)?[/\\](?:home|Users)[/\\])[^/\\\s,;:'\")]+"
)
# Random segments of a path, whatever their prefix.
_RANDOM: Final = re.compile(
    r"(?=.*[0-9])(?=.*[A-Za-z]).*[A-Za-z0-9]{16}.*|[0-9A-Fa-f-]{32,}", re.DOTALL
)
_INVALID_URL: Final = "an address that cannot be read"


def redact_text(text: str) -> str:
    """Return ``text`` with known keys masked, home as ``~`` and user names as ``…``."""
    text = mask(text)
    try:
        home = str(Path.home())
    except RuntimeError:  # no home directory
        home = ""
    if len(home) > 1:
        # Only whole path segments: another folder's name may start with the same characters.
        text = re.sub(re.escape(home) + r"(?=$|[/\\\s,;:.'\")])", "~", text)
    return _HOMES.sub(r"\1…", text)


def redact_url(address: str) -> str:
    """Return a URL without user, password and query, and with key-like path segments masked."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return _INVALID_URL
    host = parts.netloc.rpartition("@")[2]
    if not parts.scheme or not host:
        return _INVALID_URL
    path = "/".join(map(_redact_segment, parts.path.split("/")))
    return mask(f"{parts.scheme}://{host}{path}".rstrip("/"))


def _redact_segment(segment: str) -> str:
    plain = unquote(segment)
    is_key = looks_like_key(plain) or _RANDOM.fullmatch(plain) or mask(plain) != plain
    return MASK if is_key else segment

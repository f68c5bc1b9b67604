"""A report for a terminal."""

from __future__ import annotations

import textwrap
from typing import Final

from agentnb.doctor.findings import LEVELS, Finding, Level, Report
from agentnb.render import one_line

__all__ = ["as_text"]

_COLOURS: Final[dict[Level, str]] = {"problem": "\x1b[1;31m", "note": "\x1b[33m", "ok": "\x1b[32m"}
_PLAIN: Final = "\x1b[0m"
_LEVEL: Final = max(map(len, LEVELS))
# Below so many columns for the finding itself, it stands under its name.
_ROOM: Final = 36
_LONGEST: Final = 1000


def as_text(report: Report, *, width: int | None = 80, colour: bool = False) -> str:
    """Return the report as aligned lines, at most ``width`` wide; None does not wrap.

    Only a word that is longer than the line, such as a path, is not broken.
    """
    names = max((len(f.check) for f in report.findings), default=0)
    lines = [line for f in report.findings for line in _lines(f, names, width, colour=colour)]
    return "\n".join([*lines, "", report.summary] if lines else [report.summary])


def _lines(finding: Finding, names: int, width: int | None, *, colour: bool) -> list[str]:
    level = finding.level.ljust(_LEVEL)
    if colour:
        level = f"{_COLOURS[finding.level]}{level}{_PLAIN}"
    indent = _LEVEL + 2 + names + 2
    name = one_line(finding.check)
    if width is not None and width - indent < _ROOM:
        indent = 2
        lines = [f"{level}  {name}"]
        first = " " * indent
    else:
        lines = []
        first = f"{level}  {name.ljust(names)}  "
    told = _wrapped(finding.says, "", indent, width)
    told += _wrapped(finding.hint, "→ ", indent, width) if finding.hint else []
    return [*lines, first + told[0], *(" " * indent + line for line in told[1:])]


def _wrapped(text: str, mark: str, indent: int, width: int | None) -> list[str]:
    line = mark + one_line(text, _LONGEST)
    if width is None:
        return [line]
    return textwrap.wrap(
        line,
        width - indent,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]

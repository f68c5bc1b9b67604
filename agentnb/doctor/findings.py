"""What a check found, and all of it together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

from agentnb._support.installing import __version__
from agentnb.errors import AgentnbError

__all__ = ["LEVELS", "Finding", "Level", "Report", "note", "ok", "problem", "refusal"]

Level = Literal["problem", "note", "ok"]
#: The order to show them in.
LEVELS: Final[tuple[Level, ...]] = ("problem", "note", "ok")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what ``check``, what it says, and what to do, or "".

    A ``problem`` keeps something from working, a ``note`` is worth knowing.
    """

    level: Level
    check: str
    says: str
    hint: str = ""


def ok(check: str, says: str, hint: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding("ok", check, says, hint)


def note(check: str, says: str, hint: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding("note", check, says, hint)


def problem(check: str, says: str, hint: str = "") -> Finding:
    """Return a finding that something does not work."""
    return Finding("problem", check, says, hint)


def refusal(check: str, error: AgentnbError, hint: str = "") -> Finding:
    """Return what an error of this package says; its own hint wins over ``hint``."""
    return problem(check, error.message, error.hint or hint)


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, the problems first; ``seconds`` is how long it took."""

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
        """How many there are of each, in one line."""
        counts = Counter(f.level for f in self.findings)
        told = [_counted(counts["problem"], "problem"), _counted(counts["note"], "note")]
        return f"{', '.join(told)}, {counts['ok']} ok ({self.seconds:.1f} s)"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it, for a bug report."""
        return {
            "agentnb": __version__,
            "seconds": round(self.seconds, 2),
            "problems": len(self.of("problem")),
            "findings": [
                {"level": f.level, "check": f.check, "finding": f.says, "hint": f.hint or None}
                for f in self.findings
            ],
        }


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"

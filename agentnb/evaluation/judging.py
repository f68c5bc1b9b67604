"""`evaluate`: every check on every answer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from agentnb.errors import AgentnbError, RequestError
from agentnb.evaluation.check import Check
from agentnb.evaluation.checks import Checks, read_checks
from agentnb.evaluation.evaluation import Evaluation
from agentnb.evaluation.expected import Row
from agentnb.evaluation.rows import Answers, Convertible, Outcome, answers
from agentnb.render.visible import one_line

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.comparison.comparison import Comparison
    from agentnb.platforms.base import RemoteRun
    from agentnb.recording.base_run import RunFacts

__all__ = ["evaluate"]

Verdict = bool | float | None


def evaluate(
    data: pd.DataFrame | Convertible | RunFacts | Comparison | Iterable[RunFacts | RemoteRun],
    checks: Checks,
    *,
    answer: Any = None,
    failed: Literal["fail", "skip"] = "fail",
) -> Evaluation:
    """Judge every answer by every check and return the verdicts as a table.

    ``data`` is a table with a column "answer" or "text" (``answer`` names another), a run, several
    runs, or a comparison.  ``checks`` is one check, a list, or a mapping of names to checks; what a
    check is, `agentnb.evaluation` says.  A function that takes two arguments, or one called
    ``row``, is given the row, too: a mapping of the table's columns.

    A run that failed, was cut off, cancelled or interrupted fails every check, whatever part of an
    answer it left, and its score is 0; with ``failed="skip"`` it counts for nothing.  So does in
    either case a row that is not finished yet.  A check that raises, or returns neither a bool nor
    a finite number, is an error of that row alone: see `Evaluation.table`.

    Raises:
        RequestError: ``data`` or a check is none, or a column that a check names is missing, or a
            column of the table has the name of a check.
        ConfigError: a check needs a package that is not installed.
    """
    if failed not in ("fail", "skip"):
        raise RequestError(f'failed="{failed}": it is "fail" or "skip".')
    read = read_checks(checks)
    given = answers(data, answer)
    _check_columns(given.table, read)
    counts = failed == "fail"
    verdicts, problems = _judged(given, read, failed_counts=counts)
    named = {check.name: _of_one_kind(found) for check, found in zip(read, verdicts, strict=True)}
    judged = _with_verdicts(given.table, named, problems)
    return Evaluation(judged, named, given.outcomes, failed_counts=counts)


def _check_columns(table: pd.DataFrame, checks: Sequence[Check]) -> None:
    known = list(table.columns)
    for check in checks:
        for column in check.columns:
            if column not in known:
                raise RequestError(
                    f"The check {check.name} needs the column {column!r}.",
                    hint=f"There are: {', '.join(map(str, known)) or 'none'}.",
                )
    names = {check.name for check in checks}
    errors = {f"{name}_error" for name in names}
    if both := sorted(names & errors):
        raise RequestError(f"{both[0]!r} is the name of a check, and of the errors of another.")
    if taken := [str(name) for name in known if name in names | errors]:
        raise RequestError(
            f"The table has a column {taken[0]!r} already.",
            hint="Name the checks otherwise: {'name': check}.",
        )


def _judged(
    given: Answers, checks: Sequence[Check], *, failed_counts: bool
) -> tuple[list[list[Verdict]], list[list[str | None]]]:
    """Return the verdicts and the errors of each check, a list of all rows each."""
    verdicts: list[list[Verdict]] = [[] for _ in checks]
    problems: list[list[str | None]] = [[] for _ in checks]
    reads_rows = any(check.reads_row for check in checks)
    rows: Iterable[Row] = given.rows() if reads_rows else ({} for _ in given.texts)
    for row, text, outcome in zip(rows, given.texts, given.outcomes, strict=True):
        for check, found, errors in zip(checks, verdicts, problems, strict=True):
            verdict: Verdict = None
            problem: str | None = None
            if outcome is Outcome.ANSWERED:
                try:
                    verdict = _verdict(check.judge(text, row))
                # Whatever a user's function raises says something about this row only.
                except Exception as error:
                    problem = _told(error)
            elif outcome is Outcome.FAILED and failed_counts:
                verdict = False
            found.append(verdict)
            errors.append(problem)
    return verdicts, problems


def _of_one_kind(verdicts: list[Verdict]) -> list[Verdict]:
    """Return scores, where there is any, and else bools."""
    if all(verdict is None or isinstance(verdict, bool) for verdict in verdicts):
        return verdicts
    return [None if verdict is None else float(verdict) for verdict in verdicts]


def _with_verdicts(
    table: pd.DataFrame, verdicts: Mapping[str, list[Verdict]], problems: list[list[str | None]]
) -> pd.DataFrame:
    import pandas as pd

    judged = table.copy(deep=False)
    for (name, found), errors in zip(verdicts.items(), problems, strict=True):
        scored = any(isinstance(verdict, float) for verdict in found)
        judged[name] = pd.array(found, dtype="Float64" if scored else "boolean")
        if any(error is not None for error in errors):
            judged[f"{name}_error"] = pd.array(errors, dtype="string")
    return judged


def _verdict(found: Any) -> bool | float:
    if inspect.iscoroutine(found):
        found.close()
        raise TypeError("a check is a plain function, not an async one")
    # A number of NumPy's, or an array of one.
    if hasattr(found, "item"):
        found = found.item()
    if isinstance(found, bool):
        return found
    if isinstance(found, Real | Decimal) and math.isfinite(score := float(found)):
        return score
    raise TypeError(f"a check returns a bool or a finite number, not {found!r:.80}")


def _told(error: Exception) -> str:
    told = error.message if isinstance(error, AgentnbError) else str(error)
    return one_line(f"{type(error).__name__}: {told}" if told else type(error).__name__)

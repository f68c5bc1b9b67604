"""`evaluate`: apply every check to every answer."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from agentnb.errors import AgentnbError, RequestError
from agentnb.evaluation.check import Check, Row
from agentnb.evaluation.differences import is_pass_or_fail
from agentnb.evaluation.evaluation import Evaluation
from agentnb.evaluation.read_checks import Checks, read_checks
from agentnb.evaluation.rows import Answers, Convertible, Outcome, answers
from agentnb.render.visible import one_line

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.comparison import Comparison
    from agentnb.platforms.base import RemoteRun
    from agentnb.recording.base_run import BaseRun

Verdict = bool | float | None


def evaluate(
    data: pd.DataFrame | Convertible | BaseRun | Comparison | Iterable[BaseRun | RemoteRun],
    checks: Checks,
    *,
    answer: Any = None,
    failed: Literal["fail", "skip"] = "fail",
) -> Evaluation:
    """Apply every check to every answer and return the verdicts.

    ``data`` is a table with a column "answer" or "text" (``answer`` names another), a run, several
    runs, or a comparison.  ``checks`` is one check, a list, or a mapping of names to checks; see
    `agentnb.evaluation` for the kinds of checks.  A function with two parameters, or one called
    ``row``, also gets the row: a mapping of the table's columns.

    A failed, truncated, cancelled or interrupted run fails every check, even if it has text, and
    its score is 0; with ``failed="skip"`` it does not count.  Nor does, in either case, an
    unfinished row.  A check that raises, or returns neither a bool nor a finite number, is an error
    of that row only: see `Evaluation.table`.

    Raises:
        RequestError: ``data`` or a check is invalid, a column that a check needs is missing, or a
            column of the table has the name of a check.
        ConfigError: a check needs a package that is not installed.
    """
    if failed not in ("fail", "skip"):
        raise RequestError(f'failed="{failed}": it is "fail" or "skip".')
    parsed = read_checks(checks)
    rows = answers(data, answer)
    _check_columns(rows.table, parsed)
    failed_counts = failed == "fail"
    verdicts, errors = _judge(rows, parsed, failed_counts=failed_counts)
    by_name = {check.name: _uniform(column) for check, column in zip(parsed, verdicts, strict=True)}
    table = _add_verdicts(rows.table, by_name, errors)
    return Evaluation(table, by_name, rows.outcomes, failed_counts=failed_counts)


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
    if conflicts := sorted(names & errors):
        name = conflicts[0]
        raise RequestError(f"{name!r} is the name of a check, and of the errors of another.")
    if taken := [str(name) for name in known if name in names | errors]:
        raise RequestError(
            f"The table has a column {taken[0]!r} already.",
            hint="Name the checks otherwise: {'name': check}.",
        )


def _judge(
    answers: Answers, checks: Sequence[Check], *, failed_counts: bool
) -> tuple[list[list[Verdict]], list[list[str | None]]]:
    """Return a list of verdicts and one of errors for each check."""
    verdicts: list[list[Verdict]] = [[] for _ in checks]
    errors: list[list[str | None]] = [[] for _ in checks]
    reads_rows = any(check.reads_row for check in checks)
    rows: Iterable[Row] = answers.rows() if reads_rows else ({} for _ in answers.texts)
    for row, text, outcome in zip(rows, answers.texts, answers.outcomes, strict=True):
        for check, of_check, errors_of_check in zip(checks, verdicts, errors, strict=True):
            verdict: Verdict = None
            message: str | None = None
            if outcome is Outcome.ANSWERED:
                try:
                    verdict = _verdict(check.judge(text, row))
                # An exception of a user's function concerns this row only.
                except Exception as error:
                    message = _message(error)
            elif outcome is Outcome.FAILED and failed_counts:
                verdict = False
            of_check.append(verdict)
            errors_of_check.append(message)
    return verdicts, errors


def _uniform(verdicts: list[Verdict]) -> list[Verdict]:
    """Return only scores if there is any, else bools."""
    if is_pass_or_fail(verdicts):
        return verdicts
    return [None if verdict is None else float(verdict) for verdict in verdicts]


def _add_verdicts(
    table: pd.DataFrame, verdicts: Mapping[str, list[Verdict]], errors: list[list[str | None]]
) -> pd.DataFrame:
    import pandas as pd

    result = table.copy(deep=False)
    for (name, column), messages in zip(verdicts.items(), errors, strict=True):
        has_scores = any(isinstance(verdict, float) for verdict in column)
        result[name] = pd.array(column, dtype="Float64" if has_scores else "boolean")
        if any(message is not None for message in messages):
            result[f"{name}_error"] = pd.array(messages, dtype="string")
    return result


def _verdict(value: Any) -> bool | float:
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("a check is a plain function, not an async one")
    # A NumPy number, or an array of one.
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, Real | Decimal) and math.isfinite(score := float(value)):
        return score
    raise TypeError(f"a check returns a bool or a finite number, not {value!r:.80}")


def _message(error: Exception) -> str:
    text = error.message if isinstance(error, AgentnbError) else str(error)
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__)

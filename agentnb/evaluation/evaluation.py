"""`Evaluation`: verdicts as a table, their summary, and comparison with another evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from agentnb.errors import ConfigError, RequestError
from agentnb.evaluation.differences import (
    COMPARED_COLUMNS,
    Verdicts,
    compare_verdicts,
    is_pass_or_fail,
)
from agentnb.evaluation.intervals import Estimate, mean_estimate, proportion_estimate
from agentnb.evaluation.pairing import By, pair_keys
from agentnb.evaluation.rows import Outcome
from agentnb.render.visible import one_line
from agentnb.tables.frame import table
from agentnb.tables.run_list import aligned, html_table

if TYPE_CHECKING:
    import pandas as pd

#: Column -> dtype of `Evaluation.summary`, in order.
SUMMARY_COLUMNS: Final[dict[str, str]] = {
    "rows": "Int64",
    "n": "Int64",
    "passed": "Int64",
    "mean": "Float64",
    "std_error": "Float64",
    "low": "Float64",
    "high": "Float64",
    "failed_runs": "Int64",
    "left_out": "Int64",
    "errors": "Int64",
}

_CONFIDENCE: Final = 0.95
_MAX_ROWS: Final = 20
_HEADINGS: Final = ("check", "n", "passed", "mean", "95 % interval", "errors")
_MAX_NAME_CHARS: Final = 40
_NONE: Final = "–"


class Evaluation:
    """Verdicts of checks on answers, see `agentnb.evaluate`."""

    def __init__(
        self,
        table: pd.DataFrame,
        verdicts: Mapping[str, Verdicts],
        outcomes: Sequence[Outcome],
        *,
        failed_counts: bool,
    ) -> None:
        self._table = table
        self._verdicts = verdicts
        self._errors = {
            name: int(table[f"{name}_error"].count()) if f"{name}_error" in table.columns else 0
            for name in verdicts
        }
        self._failed = list(outcomes).count(Outcome.FAILED)
        self._unfinished = list(outcomes).count(Outcome.UNFINISHED)
        self._failed_counts = failed_counts

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the checks, in order."""
        return tuple(self._verdicts)

    @property
    def table(self) -> pd.DataFrame:
        """The evaluated table, with a column of verdicts for each check.

        The column has the name of the check and is ``boolean``, or ``Float64`` if the check
        returned a score for any row (True and False then count as 1 and 0).  A verdict is missing
        where the row does not count, or the check raised; if it raised for any row, there is a
        column ``<check>_error`` (``string``) with the reasons.
        """
        return self._table.copy(deep=False)

    def __len__(self) -> int:
        return len(self._table)

    def summary(self, *, confidence: float = _CONFIDENCE) -> pd.DataFrame:
        """Return one row for each check, with the columns and dtypes of `SUMMARY_COLUMNS`.

        Of ``rows`` rows ``n`` count: all but those ``left_out`` (unfinished, or failed runs that
        are skipped) and those with ``errors``.  ``passed`` is missing for scores.  ``mean`` is the
        fraction that passed, or the mean score, with its standard error and the confidence interval
        from ``low`` to ``high``: Wilson's for a fraction, Student's t for scores, which needs two
        different scores.  ``failed_runs`` are among ``n``, or with ``failed="skip"`` among
        ``left_out``.

        Raises:
            RequestError: ``confidence`` is not between 0 and 1.
            ConfigError: SciPy is not installed.
        """
        _check_confidence(confidence)
        rows = [
            self._summary_row(name, _estimate(verdicts, confidence))
            for name, verdicts in self._verdicts.items()
        ]
        return _by_check(rows, self._verdicts, SUMMARY_COLUMNS)

    def compare(
        self, other: Evaluation, *, by: By | None = None, confidence: float = _CONFIDENCE
    ) -> pd.DataFrame:
        """Return the differences from another evaluation, one row for each check.

        The columns and dtypes are those of `COMPARED_COLUMNS`.  ``difference`` is ``mean`` minus
        ``other_mean``; ``low`` and ``high`` are its confidence interval; ``p_value`` is for no
        difference, of this check alone.

        Rows are paired, which makes the interval narrower, by their index if it is unique in both
        tables and the prompts of each pair are equal (in tables with a column "prompt"), else by
        unique prompts.  ``by`` is another column of both, several, or "index"; rows with the same
        key then count once, by their mean, since they are not independent.  ``n`` and ``other_n``
        are the numbers of values in the means.  ``only_here`` and ``only_other`` count the rows
        without a partner whose verdict counts.  Tables that cannot be paired are compared as
        independent samples of all rows.

        For fractions the interval is Newcombe's for pairs or for independent rows, and the test
        McNemar's or Fisher's exact one; for scores both are Student's t for pairs, or Welch's.
        ``method`` names them.  A check of one side only is listed, without a difference.

        Raises:
            RequestError: ``other`` is no evaluation, has no check in common with this one, or
                cannot be paired by ``by``, or ``confidence`` is not between 0 and 1.
            ConfigError: SciPy is not installed.
        """
        _check_confidence(confidence)
        if not isinstance(other, Evaluation):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise RequestError(
                f"compare takes another evaluation, not {type(other).__name__}.",
                hint="Such as what agentnb.evaluate returns.",
            )
        keys = pair_keys(self._table, other._table, by)
        rows = compare_verdicts(self._verdicts, other._verdicts, keys, confidence)
        return _by_check(rows.values(), rows, COMPARED_COLUMNS)

    def _summary_row(self, name: str, estimate: Estimate) -> dict[str, Any]:
        verdicts = self._verdicts[name]
        left_out = self._unfinished + (0 if self._failed_counts else self._failed)
        return {
            "rows": len(verdicts),
            "n": len(verdicts) - left_out - self._errors[name],
            "passed": _passed(verdicts),
            "mean": estimate.mean,
            "std_error": estimate.std_error,
            "low": estimate.low,
            "high": estimate.high,
            "failed_runs": self._failed,
            "left_out": left_out,
            "errors": self._errors[name],
        }

    def __repr__(self) -> str:
        rows = map(self._cells, self.checks[:_MAX_ROWS])
        return "\n".join([self._title(), *aligned([_HEADINGS, *rows], left=1), *self._more()])

    def _repr_html_(self) -> str:
        rows = map(self._cells, self.checks[:_MAX_ROWS])
        return html_table(self._title(), _HEADINGS, rows, *self._more())

    def _title(self) -> str:
        notes = [f"{len(self)} {'row' if len(self) == 1 else 'rows'} evaluated"]
        if self._failed:
            counted = "counted as failed" if self._failed_counts else "left out"
            notes.append(f"{self._failed} without an answer, {counted}")
        if self._unfinished:
            notes.append(f"{self._unfinished} not finished, left out")
        return "; ".join(notes)

    def _more(self) -> list[str]:
        hidden = len(self._verdicts) - _MAX_ROWS
        return [f"… and {hidden} more"] if hidden > 0 else []

    def _cells(self, name: str) -> tuple[str, ...]:
        verdicts = self._verdicts[name]
        try:
            estimate = _estimate(verdicts, _CONFIDENCE)
        except ConfigError:
            # The display does without SciPy; `summary` raises.
            known = [verdict for verdict in verdicts if verdict is not None]
            estimate = Estimate(fmean(known) if known else None)
        row = self._summary_row(name, estimate)
        low, high = _number(estimate.low), _number(estimate.high)
        return (
            one_line(name, _MAX_NAME_CHARS),
            str(row["n"]),
            _NONE if row["passed"] is None else str(row["passed"]),
            _number(estimate.mean),
            _NONE if estimate.low is None else f"{low} to {high}",
            str(row["errors"]),
        )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise RequestError(f"A confidence is between 0 and 1, such as 0.95, not {confidence!r}.")


def _by_check(
    rows: Iterable[Mapping[str, Any]], names: Iterable[str], dtypes: Mapping[str, str]
) -> pd.DataFrame:
    import pandas as pd

    return table(list(rows), dtypes).set_axis(pd.Index(list(names), name="check"), axis="index")


def _passed(verdicts: Verdicts) -> int | None:
    """Return the number of rows that passed, None for scores."""
    return sum(map(bool, verdicts)) if is_pass_or_fail(verdicts) else None


def _estimate(verdicts: Verdicts, confidence: float) -> Estimate:
    known = [verdict for verdict in verdicts if verdict is not None]
    if (passed := _passed(verdicts)) is None:
        return mean_estimate(known, confidence)
    return proportion_estimate(passed, len(known), confidence)


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.5g}"

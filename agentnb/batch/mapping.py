"""What `Agent.map` and `Agent.amap` do: from their arguments to a table."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._http.retries import Retries
from agentnb._loop import in_background
from agentnb.batch.checkpoint import Checkpoint, keep
from agentnb.batch.display import display
from agentnb.batch.executor import Here, Prepares
from agentnb.batch.items import as_items
from agentnb.batch.job import Job, StoppedError
from agentnb.batch.keys import settings_digest
from agentnb.batch.outcome import Outcome
from agentnb.batch.progress import Display
from agentnb.batch.prompts import PromptLike, prompts
from agentnb.batch.recipe import Recipe
from agentnb.batch.result_table import check_names
from agentnb.batch.structured import Structured
from agentnb.errors import BatchError, RequestError
from agentnb.platforms.media import media_items
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.store.prices import prices

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Call", "amap_rows", "last_map", "map_rows"]

# How often the progress of a map is shown to async code, in seconds.
_SHOWN: Final = 0.1
# How long a map that is cancelled is waited for, in seconds.
_GRACE: Final = 10.0

_last: Outcome | None = None


def last_map() -> pd.DataFrame | None:
    """Return the table of this process's latest map, however that ended; None where none was made.

    It has the rows of the input, and of those that were not asked nothing beside them.
    """
    return None if _last is None else _last.table()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a map was called with, beside its agent; see `Agent.map`."""

    data: Any
    prompt: PromptLike = None
    concurrency: int = 8
    rpm: float | None = None
    on_error: Literal["keep", "raise"] = "keep"
    retries: int | Retries = 0
    checkpoint: str | Path | None = None
    client: Any = None
    progress: bool = True
    prefix: str = ""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, data: Any, prompt: PromptLike, given: Mapping[str, Any]) -> Call:
        """Return the call with what is ``given``: settings of the map, and options of its runs."""
        own = {each.name for each in fields(cls)} - {"data", "prompt", "options"}
        return cls(
            data=data,
            prompt=prompt,
            **{name: value for name, value in given.items() if name in own},
            options={name: value for name, value in given.items() if name not in own},
        )

    def check(self) -> None:
        """Raise `RequestError` for what is out of range."""
        if not _is_whole(self.concurrency, at_least=1):
            raise RequestError(
                f"concurrency is a number of rows, 1 or more, not {self.concurrency!r}."
            )
        if self.rpm is not None and not (_is_number(self.rpm) and self.rpm > 0):
            raise RequestError(f"rpm is a number of rows in a minute above 0, not {self.rpm!r}.")
        if self.on_error not in ("keep", "raise"):
            raise RequestError(f"on_error is 'keep' or 'raise', not {self.on_error!r}.")
        if not isinstance(self.retries, Retries) and not _is_whole(self.retries, at_least=0):
            raise RequestError(f"retries is a number of further runs, not {self.retries!r}.")
        if "session" in self.options:
            raise RequestError("Each row of a map begins a session of its own.")


class _Map:
    """One call of `Agent.map`; nothing is looked at or sent before `run`."""

    def __init__(
        self, agent: Prepares, recipe: Recipe, rebuild: Callable[[Recipe], Prepares], call: Call
    ) -> None:
        call.check()
        self._agent = agent
        self._recipe = recipe
        self._rebuild = rebuild
        self._call = call
        self._is_stopping = False
        self._begun: _Begun | None = None
        self._display: Display | None = None

    def run(self, tick: Callable[[], None]) -> pd.DataFrame:
        """Ask all rows (blocks) and return the table.

        Raises:
            BatchError: a row failed, and that was to end the map.
        """
        global _last
        self._begun = begun = self._begin()
        _last = begun.outcome
        if self._is_stopping:
            raise StoppedError
        begun.job.run(tick)
        table = begun.outcome.table()
        failure = begun.outcome.failure
        if failure is None or begun.job.state != "failed":
            return table
        run = _run_of(failure.local_id)
        error = BatchError(
            f"Row {begun.outcome.items.label(failure.position)} failed: "
            f"{(failure.error or 'no reason was given').rstrip('.')}.",
            run=run,
            table=table,
            hint=begun.way_on(),
        )
        raise error from (begun.job.cause if run is None else run.exception)

    def stop(self) -> None:
        """Have `run` end soon; from any thread."""
        self._is_stopping = True
        if self._begun is not None:
            self._begun.job.stop()

    def show(self) -> None:
        """Show how far it is, once there is something to show."""
        if not self._call.progress or self._begun is None:
            return
        if self._display is None:
            self._display = _display(self._recipe.name)
        self._display.update(self._begun.job.progress())

    def end(self, error: BaseException | None) -> None:
        """Show how it ended; where it was broken off by ``error``, say how to go on."""
        if (begun := self._begun) is None:
            return
        line = None
        if error is not None and not isinstance(error, BatchError):
            line = f"{begun.count()}. {begun.way_on()}"
            error.add_note(line)
        self.show()
        if self._display is not None:
            self._display.close(begun.job.progress(), line)

    def _begin(self) -> _Begun:
        """Look at the input and the settings; what no row could be sent with is said at once."""
        call, options = self._call, dict(self._call.options)
        if isinstance(call.retries, Retries):
            options["retries"] = call.retries
        output_type = options.pop("output_type", None)
        structured = None if output_type is None else Structured(output_type)
        if structured is not None:
            # A schema is made of a type once, and travels.
            options["output_type"] = structured.schema
        media = options.pop("media", ())
        items = as_items(call.data)
        check_names(items, structured, call.prefix)
        asked = prompts(items, call.prompt, media)
        common = () if callable(media) else media_items(media)
        self._agent.prepare("-", media=common, **options)
        if call.client is None:
            place = Here(self._agent, options)
        else:
            from agentnb.batch.cluster_executor import spread

            place = spread(call.client, self._recipe, options, self._rebuild)
        settings = settings_digest(self._recipe, options)
        checkpoint = None if call.checkpoint is None else Checkpoint(call.checkpoint, settings)
        outcome = Outcome(items, structured=structured, prefix=call.prefix, known=prices())
        job = Job(
            asked,
            place,
            outcome,
            concurrency=call.concurrency,
            rpm=call.rpm,
            retries=0 if isinstance(call.retries, Retries) else call.retries,
            raises=call.on_error == "raise",
            checkpoint=checkpoint,
        )
        return _Begun(job, outcome, settings, None if checkpoint is None else checkpoint.place)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A map that is under way; ``kept`` is the place of its checkpoint."""

    job: Job
    outcome: Outcome
    settings: bytes
    kept: str | Path | None

    def way_on(self) -> str:
        """Return in one line how to go on with what is not done; kept, where it was not yet."""
        if self.kept is not None:
            return f"To go on, map the same with checkpoint={_short(self.kept)!r}."
        if not (results := self.outcome.completed()):
            return "A checkpoint=... would let the next map go on from there."
        name, is_stored = keep(self.settings, results)
        where = "" if is_stored else " in this process"
        return f"To go on{where}, map the same with checkpoint={name!r}."

    def count(self) -> str:
        """Return how many rows are done, of how many, and where they are."""
        done, total = self.outcome.done, self.outcome.items.total
        if not done:
            return "No row is done"
        counted = f"{done} of {total}" if total is not None else f"{done}"
        rows = "row" if (total or done) == 1 else "rows"
        verb = "is" if done == 1 else "are"
        return f"{counted} {rows} {verb} done, see agentnb.last_map()"


def _short(path: str | Path) -> str:
    """Return a path as a map takes it, without the name of whose home it is in."""
    if isinstance(path, str):
        return path
    try:
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    except (RuntimeError, ValueError):
        return str(path)


def map_rows(
    agent: Prepares, recipe: Recipe, rebuild: Callable[[Recipe], Prepares], call: Call
) -> pd.DataFrame:
    """Do what `Agent.map` does."""
    if in_background():
        raise RuntimeError("map() blocks; on an event loop write 'await agent.amap(...)'.")
    made = _Map(agent, recipe, rebuild, call)
    try:
        table = made.run(made.show)
    except BaseException as error:
        made.end(error)
        raise
    made.end(None)
    return table


async def amap_rows(
    agent: Prepares, recipe: Recipe, rebuild: Callable[[Recipe], Prepares], call: Call
) -> pd.DataFrame:
    """Do what `Agent.amap` does: the same in a thread of its own, shown from here."""
    made = _Map(agent, recipe, rebuild, call)
    future: Future[pd.DataFrame] = Future()

    def work() -> None:
        try:
            future.set_result(made.run(lambda: None))
        except BaseException as error:
            future.set_exception(error)

    context = copy_context()
    # Not of a pool, which would wait for it when the process ends.
    threading.Thread(target=context.run, args=(work,), name="agentnb-map", daemon=True).start()
    ended = asyncio.wrap_future(future)
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=_SHOWN)
            made.show()
        table = ended.result()
    except BaseException as error:
        if not ended.done():
            made.stop()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({ended}, timeout=_GRACE)
        made.end(error)
        raise
    finally:
        if not ended.cancelled() and ended.done():
            # Looked at, so that nobody is told that nobody did.
            ended.exception()
    made.end(None)
    return table


def _display(name: str) -> Display:
    found = display(name)
    if found is None:
        from agentnb.batch.terminal import terminal_display

        found = terminal_display(name)
    return found


def _run_of(local_id: str | None) -> Run | None:
    """Return the run of this process that has ``local_id``, as far as it is at hand."""
    for run in reversed(recent.recent_runs()):
        if isinstance(run, Run) and run.local_id == local_id:
            return run
    return None


def _is_whole(value: object, *, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

"""Implementation of `Agent.map` and `Agent.amap`."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from agentnb._http.retry import Retries
from agentnb._loop import is_background_thread
from agentnb.batch.checkpoint import Checkpoint, keep, settings_digest
from agentnb.batch.executor import LocalExecutor
from agentnb.batch.items import PromptLike, as_items, prompts
from agentnb.batch.job import Job, StoppedError
from agentnb.batch.progress import Display, create_display
from agentnb.batch.result_table import Outcome, StructuredOutput
from agentnb.batch.rows import Recipe, RunFactory
from agentnb.errors import BatchError, RequestError
from agentnb.platforms.media import media_items
from agentnb.run.run import Run
from agentnb.store import recent

if TYPE_CHECKING:
    import pandas as pd

# Seconds between two updates of the display by `amap`.
_INTERVAL: Final = 0.1
# Seconds that a cancelled map may take to end.
_GRACE: Final = 10.0

_last: Outcome | None = None


def last_map() -> pd.DataFrame | None:
    """Return the table of this process's latest map, however it ended; None without one.

    It has all rows of the input that were read; those that were not run have no results.
    """
    return None if _last is None else _last.table()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCall:
    """Arguments of a map, except its agent; see `Agent.map`."""

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
    def of(cls, data: Any, prompt: PromptLike, arguments: Mapping[str, Any]) -> MapCall:
        """Return the call; ``arguments`` are settings of the map, and options of its runs."""
        own = {each.name for each in fields(cls)} - {"data", "prompt", "options"}
        return cls(
            data=data,
            prompt=prompt,
            **{name: value for name, value in arguments.items() if name in own},
            options={name: value for name, value in arguments.items() if name not in own},
        )

    def check(self) -> None:
        """Raise `RequestError` for invalid settings."""
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
            raise RequestError("Each row of a map starts its own session.")


@dataclass
class _Map:
    """One call of `Agent.map`, a context; nothing is read or sent before `run`."""

    _agent: RunFactory
    _recipe: Recipe
    _rebuild: Callable[[Recipe], RunFactory]
    _call: MapCall
    _is_stopping: bool = False
    _settings: bytes = b""
    _checkpoint: Checkpoint | None = None
    _job: Job | None = None
    _display: Display | None = None

    def __enter__(self) -> _Map:
        self._call.check()
        return self

    def run(self, tick: Callable[[], None]) -> pd.DataFrame:
        """Run all rows (blocks) and return the table.

        Raises:
            BatchError: a row failed, with ``on_error="raise"``.
        """
        global _last
        self._job = job = self._create_job()
        _last = outcome = job.outcome
        if self._is_stopping:
            raise StoppedError
        job.run(tick)
        table = outcome.table()
        failure = outcome.failure
        if failure is None or job.state != "failed":
            return table
        run = _run_of(failure.local_id)
        error = BatchError(
            f"Row {outcome.items.label(failure.position)} failed: "
            f"{(failure.error or 'no reason was given').rstrip('.')}.",
            run=run,
            table=table,
            hint=self._resume_hint(outcome),
        )
        raise error from (job.cause if run is None else run.exception)

    def stop(self) -> None:
        """Have `run` end soon; from any thread."""
        self._is_stopping = True
        if self._job is not None:
            self._job.stop()

    def display(self) -> None:
        """Display the progress, once the map has started."""
        if not self._call.progress or self._job is None:
            return
        if self._display is None:
            self._display = create_display(self._recipe.name)
        self._display.update(self._job.progress())

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Display the end; after an interruption by ``error``, say how to resume."""
        if self._job is None:
            return
        line = None
        if error is not None and not isinstance(error, BatchError):
            outcome = self._job.outcome
            line = f"{_count(outcome)}. {self._resume_hint(outcome)}"
            error.add_note(line)
        self.display()
        if self._display is not None:
            self._display.close(self._job.progress(), line)

    def _create_job(self) -> Job:
        """Create the job; options that no run accepts raise at once."""
        call, options = self._call, dict(self._call.options)
        if isinstance(call.retries, Retries):
            options["retries"] = call.retries
        output_type = options.pop("output_type", None)
        structured = None if output_type is None else StructuredOutput(output_type)
        if structured is not None:
            # Unlike a type, the schema can be pickled.
            options["output_type"] = structured.schema
        media = options.pop("media", ())
        outcome = Outcome(as_items(call.data), structured, call.prefix)
        row_prompts = prompts(outcome.items, call.prompt, media)
        shared_media = () if callable(media) else media_items(media)
        self._agent.prepare("-", media=shared_media, **options)
        if call.client is None:
            executor = LocalExecutor(self._agent, options)
        else:
            from agentnb.batch.cluster_executor import cluster_executor

            executor = cluster_executor(call.client, self._recipe, options, self._rebuild)
        self._settings = settings_digest(self._recipe, options)
        if call.checkpoint is not None:
            self._checkpoint = Checkpoint(call.checkpoint, self._settings)
        return Job(
            row_prompts,
            executor,
            outcome,
            concurrency=call.concurrency,
            rpm=call.rpm,
            retries=0 if isinstance(call.retries, Retries) else call.retries,
            stop_on_failure=call.on_error == "raise",
            checkpoint=self._checkpoint,
        )

    def _resume_hint(self, outcome: Outcome) -> str:
        """Return in one line how to run the other rows; keep the completed ones for that."""
        if self._checkpoint is not None:
            place = _short_path(self._checkpoint.place)
            return f"To go on, map the same with checkpoint={place!r}."
        if not (results := outcome.completed()):
            return "A checkpoint=... would let the next map go on from there."
        name, is_stored = keep(self._settings, results)
        where = "" if is_stored else " in this process"
        return f"To go on{where}, map the same with checkpoint={name!r}."


def _count(outcome: Outcome) -> str:
    """Return in words how many rows are done."""
    done, total = outcome.done, outcome.items.total
    if not done:
        return "No row is done"
    counts = f"{done} of {total}" if total is not None else f"{done}"
    rows = "row" if (total or done) == 1 else "rows"
    return f"{counts} {rows} {'is' if done == 1 else 'are'} done, see agentnb.last_map()"


def _short_path(path: str | Path) -> str:
    """Return a path with "~" for the home directory."""
    if isinstance(path, str):
        return path
    try:
        return f"~/{path.relative_to(Path.home()).as_posix()}"
    except (RuntimeError, ValueError):
        return str(path)


def map_rows(
    agent: RunFactory,
    recipe: Recipe,
    rebuild: Callable[[Recipe], RunFactory],
    call: MapCall,
) -> pd.DataFrame:
    """Implement `Agent.map`."""
    if is_background_thread():
        raise RuntimeError("map() blocks; on an event loop write 'await agent.amap(...)'.")
    with _Map(agent, recipe, rebuild, call) as map_:
        return map_.run(map_.display)


async def amap_rows(
    agent: RunFactory,
    recipe: Recipe,
    rebuild: Callable[[Recipe], RunFactory],
    call: MapCall,
) -> pd.DataFrame:
    """Implement `Agent.amap`: `map` in a separate thread, displayed from this one."""
    future: Future[pd.DataFrame] = Future()

    def work() -> None:
        try:
            future.set_result(map_.run(lambda: None))
        except BaseException as error:
            future.set_exception(error)

    with _Map(agent, recipe, rebuild, call) as map_:
        # Not of a pool, which would be joined when the process ends.
        target = partial(copy_context().run, work)
        threading.Thread(target=target, name="agentnb-map", daemon=True).start()
        ended = asyncio.wrap_future(future)
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=_INTERVAL)
                map_.display()
            return ended.result()
        except BaseException:
            if not ended.done():
                map_.stop()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({ended}, timeout=_GRACE)
            raise
        finally:
            if not ended.cancelled() and ended.done():
                # Retrieve it so asyncio does not warn.
                ended.exception()


def _run_of(local_id: str | None) -> Run | None:
    runs = reversed(recent.recent_runs())
    return next((run for run in runs if isinstance(run, Run) and run.local_id == local_id), None)


def _is_whole(value: object, *, at_least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

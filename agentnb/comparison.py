"""`Comparison`: one prompt sent to several agents."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.fork import renew_lock_after_fork
from agentnb.agents import Agent, agent
from agentnb.errors import RequestError, RunError
from agentnb.platforms.media import MediaLike
from agentnb.run.output import OutputType
from agentnb.run.run import Run
from agentnb.store import recent
from agentnb.tables.columns import RUN_COLUMNS
from agentnb.tables.frame import table
from agentnb.tables.run_list import RunList

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.render import ComparisonView

__all__ = ["COMPARISON_COLUMNS", "AgentLike", "Comparison", "ask_all"]

AgentLike = str | Agent | Callable[..., Any]
"""An agent's name, an `Agent`, or a function that takes the prompt."""

_TOKENS: Final = ("input_tokens", "output_tokens", "total_tokens", "cost_usd")
_FIELDS: Final = ("platform", "agent", "status", "duration", "time_to_first_token")

#: Column -> dtype of `Comparison.DataFrame`, in order.
COMPARISON_COLUMNS: Final[dict[str, str]] = {
    "label": "string",
    **{name: RUN_COLUMNS[name] for name in (*_FIELDS, *_TOKENS, "text", "error", "run_id")},
}


class Comparison:
    """Concurrent runs of several agents with one prompt, created by `agentnb.compare`.

    ``runs`` are in the order of the agents, and ``labels`` are their distinct names.
    ``await comparison`` waits for all and returns the comparison; `wait` is for blocking code.
    """

    def __init__(self, prompt: str, runs: Sequence[Run]) -> None:
        self.prompt = prompt
        self.labels = _labels(runs)
        self._started_runs = tuple(runs)

    @property
    def runs(self) -> RunList[Run]:
        """The runs, in order; a run continued after a decision is replaced by its successor."""
        return RunList(run.latest() for run in self._started_runs)

    @property
    def done(self) -> bool:
        """Whether all have ended, or paused."""
        return all(run.done for run in self.runs)

    def cancel(self) -> None:
        """Cancel the running ones; received events are kept.  Safe to call at any time."""
        for run in self.runs:
            run.cancel()

    def wait(self, timeout: float | None = None, *, check: bool = True) -> Comparison:
        """Block until all have ended and return the comparison.

        ``timeout`` is for all together, in seconds; None waits forever.  The runs continue if the
        wait is interrupted, see `cancel`.

        Raises:
            RunError: with ``check``, of the first run in order that did not complete; all have
                ended by then.
            TimeoutError: some have not ended.
        """
        end = None if timeout is None else time.monotonic() + timeout
        # A decision may add a successor meanwhile.
        while (run := self._unfinished()) is not None:
            try:
                run.wait(None if end is None else max(0.0, end - time.monotonic()), check=False)
            except TimeoutError:
                raise TimeoutError(f"The comparison has not ended after {timeout:g} s.") from None
        return self.raise_for_status() if check else self

    async def wait_async(self, *, check: bool = True) -> Comparison:
        """Wait on the running event loop until all have ended, as `wait` does."""
        while (run := self._unfinished()) is not None:
            await run.wait_async(check=False)
        return self.raise_for_status() if check else self

    def __await__(self) -> Generator[Any, None, Comparison]:
        return self.wait_async().__await__()

    def raise_for_status(self) -> Comparison:
        """Return the comparison, or raise the error of the first run that did not complete.

        Raises:
            RunError: a run failed, or was truncated or cancelled; its ``run`` is that run.
        """
        for label, run in zip(self.labels, self.runs, strict=True):
            try:
                run.raise_for_status()
            except RunError as error:
                error.add_note(f"Agent: {label}, one of {len(self._started_runs)} agents.")
                raise
        return self

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when a run changes or ends; return a function that unsubscribes.

        Successors of the runs are included.  ``callback`` is called on the background loop and
        must not block.
        """
        return _Subscription(self._started_runs, callback).stop

    def DataFrame(self) -> pd.DataFrame:
        """Return one row for each agent, in order, with the data received so far.

        The columns and dtypes are those of `COMPARISON_COLUMNS`, whatever the data: text as
        ``string``, names and status as ``category``, durations as timedeltas, tokens as nullable
        integers, ``cost_usd`` in US dollars as reported by the platform.
        """
        with self._locked() as runs:
            rows = [_row(*pair) for pair in zip(self.labels, runs, strict=True)]
        return table(rows, COMPARISON_COLUMNS)

    def view(self) -> ComparisonView:
        """Return the view for the renderers."""
        return self._view(self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-like data: the prompt, and each run as in `Run.to_dict`."""
        return {
            "format": "agentnb.comparison/1",
            "prompt": self.prompt,
            "runs": [
                {"label": label, **run.to_dict()}
                for label, run in zip(self.labels, self.runs, strict=True)
            ],
        }

    def to_markdown(self) -> str:
        """Return the prompt, a table of figures, and the answers, as Markdown."""
        from agentnb.render import comparison_markdown

        with self._locked() as runs:
            return comparison_markdown(self._view(runs))

    def export(self, path: str | Path) -> Path:
        """Write a file, ``.md``, ``.html`` or ``.json``, and return its path.

        Raises:
            ValueError: the suffix is not supported.
        """
        from agentnb.render import comparison_html

        path = Path(path)
        match path.suffix.lower():
            case ".md":
                content = self.to_markdown()
            case ".html":
                with self._locked() as runs:
                    content = comparison_html(self._view(runs), standalone=True)
            case ".json":
                content = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=str)
            case other:
                raise ValueError(
                    f"A comparison is exported as .md, .html or .json, not as '{other}'."
                )
        # A platform's text may hold lone surrogates.
        errors = "backslashreplace" if path.suffix.lower() == ".json" else "replace"
        path.write_text(content, encoding="utf-8", errors=errors, newline="\n")
        return path

    def bundle(self) -> dict[str, str]:
        """Return the static output of a notebook cell: safe HTML and plain text."""
        from agentnb.render import comparison_html, comparison_text

        with self._locked() as runs:
            view = self._view(runs)
            return {"text/plain": comparison_text(view), "text/html": comparison_html(view)}

    def __repr__(self) -> str:
        counts = Counter(run.status for run in self.runs)
        states = ", ".join(f"{count} {status}" for status, count in counts.items())
        return f"<Comparison of {len(self._started_runs)} agents: {states}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.bundle()

    def _view(self, runs: Sequence[Run]) -> ComparisonView:
        from agentnb.render import ComparisonView

        views = [run.view() for run in runs]
        return ComparisonView(prompt=self.prompt, runs=list(zip(self.labels, views, strict=True)))

    def _unfinished(self) -> Run | None:
        return next((run for run in self.runs if not run.done), None)

    @contextmanager
    def _locked(self) -> Generator[list[Run], None, None]:
        # Always locked in this order, and nothing else holds two of the locks.
        with ExitStack() as stack:
            runs = self.runs
            for run in runs:
                stack.enter_context(run.lock)
            yield runs


class _Subscription:
    """A callback subscribed to runs and their successors."""

    def __init__(self, runs: Iterable[Run], callback: Callable[[], None]) -> None:
        self._callback = callback
        self._lock = threading.Lock()
        renew_lock_after_fork(self)
        self._unsubscribe: dict[Run, Callable[[], None]] = {}
        self._stopped = False
        for run in runs:
            self._follow(run)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            callbacks = list(self._unsubscribe.values())
        for unsubscribe in callbacks:
            unsubscribe()

    def _follow(self, run: Run | None) -> None:
        while run is not None:
            with self._lock:
                if self._stopped or run in self._unsubscribe:
                    return
                self._unsubscribe[run] = run.subscribe(partial(self._changed, run))
            run = run.successor

    def _changed(self, run: Run) -> None:
        self._follow(run.successor)
        self._callback()


def ask_all(
    agents: Sequence[AgentLike],
    prompt: str,
    *,
    output_type: OutputType | None = None,
    media: MediaLike | Sequence[MediaLike] = (),
    stream: bool = True,
    **params: Any,
) -> Comparison:
    """Send ``prompt`` to all ``agents`` at once and return the live comparison.

    Raises:
        ConfigError: a name, an address or a key is missing or invalid.
        RequestError: there are fewer than two agents, or one does not support an argument; no
            request was sent.
    """
    # A name is a sequence, too.
    if isinstance(agents, str | Agent) or callable(agents) or len(agents) < 2:
        raise RequestError("A comparison takes a list of two agents or more.")
    if "session" in params:
        raise RequestError("Each agent of a comparison starts its own session.")
    resolved = [each if isinstance(each, Agent) else agent(each) for each in agents]
    runs = [
        each.prepare(prompt, output_type=output_type, media=media, stream=stream, **params)
        for each in resolved
    ]
    for run in runs:
        recent.remember(run)
        run.start()
    return Comparison(prompt, runs)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return distinct labels: titles, with platform or number where a title is not unique."""
    names = [
        f"{run.platform}:{run.title}"
        if any(o.title == run.title and o.platform != run.platform for o in runs)
        else run.title
        for run in runs
    ]
    labels: list[str] = []
    for name in names:
        label, count = name, 1
        while label in labels:
            count += 1
            label = f"{name} ({count})"
        labels.append(label)
    return labels


def _row(label: str, run: Run) -> dict[str, Any]:
    return {
        "label": label,
        "run_id": run.id,
        **{name: getattr(run, name) for name in (*_FIELDS, "text", "error")},
        **{name: getattr(run.usage, name, None) for name in _TOKENS},
    }

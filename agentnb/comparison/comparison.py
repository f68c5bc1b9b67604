"""`Comparison`: one question to several agents, side by side."""

from __future__ import annotations

import json
import threading
import time
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
from agentnb.tables.frame import table
from agentnb.tables.run_list import RunList

if TYPE_CHECKING:
    import pandas as pd

    from agentnb.render import ComparisonView

__all__ = ["COMPARISON_COLUMNS", "AgentLike", "Comparison", "ask_all"]

AgentLike = str | Agent | Callable[..., Any]
"""An agent's name, an `Agent`, or a function that takes the question."""

#: Column -> dtype of `Comparison.DataFrame`, in order.
COMPARISON_COLUMNS: Final[dict[str, str]] = {
    "label": "string",
    "platform": "category",
    "agent": "category",
    "status": "category",
    "duration": "timedelta64[us]",
    "time_to_first_token": "timedelta64[us]",
    "input_tokens": "Int64",
    "output_tokens": "Int64",
    "total_tokens": "Int64",
    "cost_usd": "Float64",
    "text": "string",
    "error": "string",
    "run_id": "string",
}


class Comparison:
    """Answers of several agents to one question, all of them live at once.

    Made by `agentnb.compare`.  ``runs`` are in the order in which the agents were given, and
    ``labels`` name them in the same order, each differently.  ``await comparison`` waits for all
    and returns it; `wait` does the same for blocking code.
    """

    def __init__(self, prompt: str, runs: Sequence[Run]) -> None:
        self.prompt = prompt
        self.labels = _labels(runs)
        self._asked = tuple(runs)

    @property
    def runs(self) -> RunList[Run]:
        """The runs, in order; one that was decided is the run as which it goes on."""
        return RunList(_latest(run) for run in self._asked)

    @property
    def done(self) -> bool:
        """Whether all have ended, or paused."""
        return all(run.done for run in self.runs)

    def cancel(self) -> None:
        """Stop those that go on; what arrived is kept.  Safe to call at any time."""
        for run in self.runs:
            run.cancel()

    def wait(self, timeout: float | None = None, *, check: bool = True) -> Comparison:
        """Block until all have ended and return the comparison.

        ``timeout`` is for all together, in seconds, None for ever.  The agents go on when the wait
        is interrupted, see `cancel`.

        Raises:
            RunError: that of the first agent in order that did not complete, where ``check`` is
                true; all others have ended by then, too.
            TimeoutError: some go on still.
        """
        end = None if timeout is None else time.monotonic() + timeout
        # Anew each time: one that was decided meanwhile goes on as another.
        while (run := self._going()) is not None:
            try:
                run.wait(None if end is None else max(0.0, end - time.monotonic()), check=False)
            except TimeoutError:
                raise TimeoutError(f"The comparison goes on after {timeout:g} s.") from None
        return self.raise_for_status() if check else self

    async def wait_async(self, *, check: bool = True) -> Comparison:
        """Wait on the running event loop until all have ended; otherwise as `wait`."""
        while (run := self._going()) is not None:
            await run.wait_async(check=False)
        return self.raise_for_status() if check else self

    def __await__(self) -> Generator[Any, None, Comparison]:
        return self.wait_async().__await__()

    def raise_for_status(self) -> Comparison:
        """Return the comparison where no agent failed, was cut off or cancelled.

        Raises:
            RunError: that of the first one that did; its ``run`` tells which.
        """
        for label, run in zip(self.labels, self.runs, strict=True):
            try:
                run.raise_for_status()
            except RunError as error:
                error.add_note(f"Asked: {label}, one of {len(self._asked)} agents.")
                raise
        return self

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` whenever one of the runs has changed or ended; return what undoes it.

        Those as which runs go on after a decision are followed, too.  It is called on the
        background loop and must not block.
        """
        return _Following(self._asked, callback).stop

    # -- keeping it ------------------------------------------------------------------------------

    def DataFrame(self) -> pd.DataFrame:
        """Return one row for each agent, in order, of what has arrived so far.

        The columns and dtypes are those of `COMPARISON_COLUMNS`, whatever came of the runs: text as
        ``string``, names and status as ``category``, durations as timedeltas, tokens as nullable
        integers, ``cost_usd`` in US dollars as the platform reported it.
        """
        with self._locked() as runs:
            rows = [_row(*pair) for pair in zip(self.labels, runs, strict=True)]
        return table(rows, COMPARISON_COLUMNS)

    def view(self) -> ComparisonView:
        """Return what the renderers need of it."""
        return self._view(self.runs)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data: the question, and each run as `Run.to_dict` gives it."""
        return {
            "format": "agentnb.comparison/1",
            "prompt": self.prompt,
            "runs": [
                {"label": label, **run.to_dict()}
                for label, run in zip(self.labels, self.runs, strict=True)
            ],
        }

    def to_markdown(self) -> str:
        """Return the question, a table of the figures, and the answers, as Markdown."""
        from agentnb.render import comparison_markdown

        with self._locked() as runs:
            return comparison_markdown(self._view(runs))

    def export(self, path: str | Path) -> Path:
        """Write it as the suffix says: ``.md``, ``.html`` or ``.json``; return the path.

        Raises:
            ValueError: the suffix is another.
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
        # A lone surrogate in a platform's text is no reason to lose the rest.
        errors = "backslashreplace" if path.suffix.lower() == ".json" else "replace"
        path.write_text(content, encoding="utf-8", errors=errors, newline="\n")
        return path

    def bundle(self) -> dict[str, str]:
        """Return the output that stays in a notebook: safe HTML and plain text."""
        from agentnb.render import comparison_html, comparison_text

        with self._locked() as runs:
            view = self._view(runs)
            return {"text/plain": comparison_text(view), "text/html": comparison_html(view)}

    def __repr__(self) -> str:
        found: dict[str, int] = {}
        for run in self.runs:
            found[run.status] = found.get(run.status, 0) + 1
        states = ", ".join(f"{count} {status}" for status, count in found.items())
        return f"<Comparison of {len(self._asked)} agents: {states}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return self.bundle()

    def _view(self, runs: Sequence[Run]) -> ComparisonView:
        from agentnb.render import ComparisonView

        views = [run.view() for run in runs]
        return ComparisonView(prompt=self.prompt, runs=list(zip(self.labels, views, strict=True)))

    def _going(self) -> Run | None:
        return next((run for run in self.runs if not run.done), None)

    @contextmanager
    def _locked(self) -> Generator[list[Run], None, None]:
        # Always in this order, and nothing else holds two of them.
        with ExitStack() as stack:
            runs = self.runs
            for run in runs:
                stack.enter_context(run.lock)
            yield runs


class _Following:
    """Calls a callback for runs, and for those as which they go on."""

    def __init__(self, runs: Iterable[Run], callback: Callable[[], None]) -> None:
        self._callback = callback
        self._lock = threading.Lock()
        renew_lock_after_fork(self)
        self._undo: dict[Run, Callable[[], None]] = {}
        self._stopped = False
        for run in runs:
            self._follow(run)

    def stop(self) -> None:
        """Call it no more."""
        with self._lock:
            self._stopped = True
            undo = list(self._undo.values())
        for each in undo:
            each()

    def _follow(self, run: Run | None) -> None:
        while run is not None:
            with self._lock:
                if self._stopped or run in self._undo:
                    return
                self._undo[run] = run.subscribe(partial(self._changed, run))
            run = run.successor

    def _changed(self, run: Run) -> None:
        self._follow(run.successor)
        self._callback()


def _latest(run: Run) -> Run:
    while (successor := run.successor) is not None:
        run = successor
    return run


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
        ConfigError: a name, an address or a key is missing or wrong.
        RequestError: there are fewer than two agents, or one cannot take what was given; nothing
            was sent to any.
    """
    # A name is a sequence of characters, too, and callers without types are told.
    if isinstance(agents, str | Agent) or callable(agents) or len(agents) < 2:
        raise RequestError("A comparison takes a list of two agents or more.")
    if "session" in params:
        raise RequestError("Each agent of a comparison begins a session of its own.")
    chosen = [each if isinstance(each, Agent) else agent(each) for each in agents]
    runs = [
        each.prepare(prompt, output_type=output_type, media=media, stream=stream, **params)
        for each in chosen
    ]
    for run in runs:
        recent.remember(run)
        run.start()
    return Comparison(prompt, runs)


def _labels(runs: Sequence[Run]) -> list[str]:
    """Return a label for each run: its title, what tells it from others of that title, a number."""
    names = [
        # Agents of one title on several platforms are told apart by these.
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
    usage = run.usage
    return {
        "label": label,
        "platform": run.platform,
        "agent": run.agent,
        "status": run.status,
        "duration": run.duration,
        "time_to_first_token": run.time_to_first_token,
        "input_tokens": usage and usage.input_tokens,
        "output_tokens": usage and usage.output_tokens,
        "total_tokens": usage and usage.total_tokens,
        "cost_usd": usage and usage.cost_usd,
        "text": run.text,
        "error": run.error,
        "run_id": run.id,
    }

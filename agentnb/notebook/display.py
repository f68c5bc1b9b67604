"""Display of runs: a live widget, a static output, or plain text."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, cast

from IPython import display as ipython_display
from IPython.core.getipython import get_ipython

from agentnb._loop import submit
from agentnb._support.fork import imported
from agentnb.notebook.text import RunDisplay, TextDisplay
from agentnb.render import to_html, to_text
from agentnb.render.visible import one_line, visible
from agentnb.run.approvals import ApprovalRef
from agentnb.run.run import Run
from agentnb.widgets.bounds import (
    NAME_TEXT,
    PASSAGE_TEXT,
    QUESTION_TEXT,
    bounded_head,
    part_state,
    shortened,
)
from agentnb.widgets.protocol import jsonable

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from agentnb.widgets.base import AgentWidget
    from agentnb.widgets.run import RunWidget

# These are untyped in IPython.
display: Callable[..., Any] = cast("Any", ipython_display).display
update_display: Callable[..., Any] = cast("Any", ipython_display).update_display

Mode = Literal["widget", "static", "text", "none"]

# Seconds between two updates of a run that is waited for.
_TICK: Final = 0.05
# Widgets stay open after their runs: where the final output does not reach a page (it was reloaded,
# or the message was dropped), the view has to show the end.
_MAX_KEPT: Final = 20
_kept: deque[AgentWidget] = deque()


def choose_mode(shell: InteractiveShell | None) -> Mode:
    """Return how to display a run here.

    ``widget`` in a kernel with an interactive frontend, ``static`` in a kernel that executes a
    notebook unattended (nbclient, papermill, nbval), ``text`` in a terminal.
    """
    kernel: Any = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    # Only by this can unattended clients be recognized: they do not answer prompts.
    content = kernel.get_parent().get("content", {})
    return "widget" if content.get("allow_stdin", False) else "static"


def show_bundle(bundle: Mapping[str, str], mode: Mode) -> None:
    """Print a MIME bundle in a terminal, else display it."""
    if mode == "text":
        print(bundle["text/plain"])  # noqa: T201
    else:
        display(bundle, raw=True)


def current_shell() -> InteractiveShell | None:
    """Return the running IPython shell, None in plain Python."""
    return get_ipython()


def show(run: Run) -> None:
    """Display ``run`` live until it has ended.

    In a notebook that is the view of a ``%%agent`` cell, elsewhere text on standard output.  The
    caller blocks; an interrupt cancels the run.  A failed run is displayed and not raised, see
    `Run.raise_for_status`.
    """
    view = make_display(run, choose_mode(current_shell()))
    view.open()
    try:
        while not run.done:
            view.tick()
            time.sleep(_TICK)
    except BaseException:
        run.cancel()
        raise
    finally:
        view.close()


def show_value(run: Run) -> None:
    """Display a run that is a cell's value, live but without waiting for it.

    A replay that cannot be displayed live is played to its end.
    """
    mode = choose_mode(current_shell())
    if run.via == "replay" and mode != "widget":
        show(run)
    elif run.done or mode != "widget":
        display(static_bundle(run), raw=True)
    else:
        view = make_display(run, mode, background=True)
        view.open()
        close_at_end(run, view.close)


class Endable(Protocol):
    """A run, or several."""

    @property
    def done(self) -> bool: ...

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]: ...


def close_at_end(run: Endable, close: Callable[[], None]) -> None:
    """Call ``close`` once, when ``run`` has ended."""
    once = threading.Lock()
    undo: list[Callable[[], None]] = []

    def finish() -> None:
        # Called on the loop's thread, perhaps before `subscribe` returns, and once below.
        if run.done and once.acquire(blocking=False):
            for unsubscribe in undo:
                unsubscribe()
            close()

    undo.append(run.subscribe(finish))
    finish()


class Output:
    """An output of a cell, which later content replaces."""

    def __init__(self) -> None:
        self._id: str | None = None

    def show(self, content: Any, *, raw: bool = True) -> None:
        """Display an object, or with ``raw`` a MIME bundle."""
        if self._id is None:
            self._id = uuid.uuid4().hex
            display(content, raw=raw, display_id=self._id)
        else:
            update_display(content, raw=raw, display_id=self._id)


def make_display(
    run: Run,
    mode: Mode,
    *,
    format: str = "rich",
    background: bool = False,
    raises: bool = False,
) -> RunDisplay:
    """Return the display of ``run``; ``format`` is one of `options.FORMATS`.

    A ``background`` run ends in another cell than its own.  ``raises``: the cell raises the error
    of the run, which text output then omits.
    """
    if mode == "none":
        return RunDisplay()
    if mode == "text" or format == "text":
        return TextDisplay(run, raises=raises)
    if format == "json":
        return _JsonDisplay(run)
    if mode == "widget":
        imported("agentnb.widgets.run")
        return _LiveRunDisplay(run)
    return _StaticDisplay(run, updates=background)


def static_bundle(run: Run) -> dict[str, str]:
    """Return the final output: safe HTML and plain text."""
    with run.lock:
        view = run.view()
        return {"text/plain": to_text(view), "text/html": to_html(view)}


class _StaticDisplay(RunDisplay):
    """One output at the end, for unattended execution; ``updates`` displays the start, too."""

    def __init__(self, run: Run, *, updates: bool) -> None:
        self._run = run
        self._updates = updates
        self._output = Output()

    def open(self) -> None:
        if self._updates:
            self.close()

    def close(self) -> None:
        self._output.show(static_bundle(self._run))


class _JsonDisplay(RunDisplay):
    """The answer as data at the end: parsed where it is JSON, else the run that has it."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def close(self) -> None:
        try:
            # Python accepts NaN, and frontends cannot receive lone surrogates.
            data = json.loads(self._run.transcript.text, parse_constant=_reject_constant)
            json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            data = _run_data(self._run)
        pretty = json.dumps(data, indent=2, ensure_ascii=False)
        display({"text/plain": visible(pretty), "application/json": data}, raw=True)


class LiveDisplay(RunDisplay):
    """A widget in a cell, which its static rendering replaces at the end."""

    def __init__(self, widget: AgentWidget, bundle: Callable[[], Mapping[str, str]]) -> None:
        self._widget = widget
        self._bundle = bundle
        self._output = Output()

    def open(self) -> None:
        self._output.show(self._widget, raw=False)

    def close(self) -> None:
        self._output.show(self._bundle())
        keep_alive(self._widget)


class _LiveRunDisplay(LiveDisplay):
    """The widget of a run, with buttons for its approvals."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._deciding: Future[Run] | None = None
        self._live = self._make_widget()
        super().__init__(self._live, lambda: static_bundle(self._run))

    @property
    def takes_decisions(self) -> bool:
        return self._run.takes_decisions

    def follow(self, successor: Run) -> None:
        self._run = successor
        self._widget.close()
        self._widget = self._live = self._make_widget()
        self.open()

    def _make_widget(self) -> RunWidget:
        from agentnb.widgets.run import RunWidget

        return RunWidget(self._run, decide=self._decide if self.takes_decisions else None)

    def _decide(self, approval: ApprovalRef, approved: bool, payload: Any) -> None:
        # A second click, or one after a decision by code, is refused by the run itself.
        if self._deciding is None or self._deciding.done():
            decide = self._run.approve_async if approved else self._run.deny_async
            self._deciding = submit(decide(approval, payload=payload))
            self._deciding.add_done_callback(self._warn)

    def _warn(self, decision: Future[Run]) -> None:
        error = decision.exception()
        # Unless it was decided elsewhere meanwhile, by another view or by code.
        if error is not None and self._run.status == "paused" and self._run.successor is None:
            self._live.warn(f"The decision could not be sent: {one_line(str(error))}")


def keep_alive(widget: AgentWidget) -> None:
    """Keep a widget whose output was replaced, and close the oldest kept one."""
    _kept.append(widget)
    if len(_kept) > _MAX_KEPT:
        _kept.popleft().close()


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _run_data(run: Run) -> dict[str, Any]:
    """Return a run as data for a saved notebook: without events, and with long texts cut."""
    data = {k: v for k, v in run.to_dict().items() if k not in ("events", "parts")}
    calls = [part_state(call, index) for index, call in enumerate(run.tool_calls)]
    texts = {"text": run.transcript.text, "reasoning": run.transcript.reasoning}
    cut = {name: shortened(text, PASSAGE_TEXT) for name, text in texts.items()}
    cut |= {name: shortened(data[name], NAME_TEXT) for name in ("id", "title", "platform")}
    cut["prompt"] = shortened(run.request.prompt, QUESTION_TEXT)
    return jsonable({**bounded_head(data), **cut, "tool_calls": calls})

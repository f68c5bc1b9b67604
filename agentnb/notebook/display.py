"""How a run is shown where the code runs: a live widget, a static output, or plain text."""

from __future__ import annotations

import json
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from IPython.core.getipython import get_ipython
from IPython.display import (
    display,  # pyright: ignore[reportUnknownVariableType]  # untyped in IPython
    update_display,  # pyright: ignore[reportUnknownVariableType]
)

from agentnb._support.imports import imported
from agentnb.notebook.text import TextDisplay
from agentnb.render import to_html, to_text
from agentnb.render.visible import visible
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

__all__ = ["Mode", "RunDisplay", "choose_mode", "make_display", "outlive"]

Mode = Literal["widget", "static", "text", "none"]

# The latest widgets outlive their runs: where the final output does not reach a page (it was
# reloaded, or the message was dropped), the view stays, and has to be able to show the end.
_KEPT: Final = 20
_kept: deque[AgentWidget] = deque()


def choose_mode(shell: InteractiveShell | None) -> Mode:
    """Return how to show a run here.

    ``widget`` in a kernel with a frontend that somebody looks at, ``static`` in a kernel that runs
    a notebook unattended (nbclient, papermill, nbval), ``text`` in a terminal.
    """
    kernel: Any = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    # Unattended clients say that nobody can answer a prompt; nothing else tells them apart.
    content = kernel.get_parent().get("content", {})
    return "widget" if content.get("allow_stdin", False) else "static"


class RunDisplay(Protocol):
    """One way to show a run: opened when it is sent, ticked while it goes on, closed at its end."""

    def open(self) -> None:
        """Show that it began."""
        ...

    def tick(self) -> None:
        """Show what is new; called some twenty times a second by whoever waits."""
        ...

    def close(self) -> None:
        """Leave behind what is to stay."""
        ...


def make_display(
    run: Run,
    mode: Mode,
    *,
    format: str = "rich",
    background: bool = False,
    raises: bool = False,
) -> RunDisplay:
    """Return the way to show ``run``; ``format`` is one of `options.FORMATS`.

    A run in the ``background`` ends in another cell than its own.  Where its cell ``raises`` what
    it fails by, text need not say it, too.
    """
    if mode == "none":
        return _Nothing()
    if mode == "text" or format == "text":
        return TextDisplay(run, raises=raises)
    if format == "json":
        return _JsonDisplay(run)
    if mode == "widget":
        return _WidgetDisplay(run)
    return _LateDisplay(run) if background else _StaticDisplay(run)


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _told(run: Run) -> dict[str, Any]:
    """Return a run as data that a notebook can save: without events, and with long texts cut."""
    told = {k: v for k, v in run.to_dict().items() if k not in ("events", "parts")}
    calls = [part_state(call, index) for index, call in enumerate(run.tool_calls)]
    texts = {"text": run.transcript.text, "reasoning": run.transcript.reasoning}
    cut = {name: shortened(text, PASSAGE_TEXT) for name, text in texts.items()}
    cut |= {name: shortened(told[name], NAME_TEXT) for name in ("id", "title", "platform")}
    cut["prompt"] = shortened(run.request.prompt, QUESTION_TEXT)
    return jsonable({**bounded_head(told), **cut, "tool_calls": calls})


def static_bundle(run: Run) -> dict[str, str]:
    """Return the output that stays: safe HTML and plain text."""
    with run.lock:
        view = run.view()
        return {"text/plain": to_text(view), "text/html": to_html(view)}


class _Nothing:
    def open(self) -> None:
        pass

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


class _StaticDisplay(_Nothing):
    """One output at the end, and none that changes: what unattended execution records well."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def close(self) -> None:
        display(static_bundle(self._run), raw=True)


class _JsonDisplay(_Nothing):
    """The answer as data, at the end: itself where it is JSON, else the run that holds it."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def close(self) -> None:
        try:
            # NaN is Python's idea of JSON, and a lone surrogate can be sent to no frontend.
            data = json.loads(self._run.transcript.text, parse_constant=_no_json)
            json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            data = _told(self._run)
        pretty = json.dumps(data, indent=2, ensure_ascii=False)
        display({"text/plain": visible(pretty), "application/json": data}, raw=True)


class _LateDisplay(_Nothing):
    """A static output that says at once that the run began, and at its end what came of it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._id = uuid.uuid4().hex

    def open(self) -> None:
        display(static_bundle(self._run), raw=True, display_id=self._id)

    def close(self) -> None:
        update_display(static_bundle(self._run), raw=True, display_id=self._id)


class _WidgetDisplay(_Nothing):
    """The live view, replaced by the static output when the run has ended."""

    def __init__(self, run: Run) -> None:
        imported("agentnb.widgets.run")
        from agentnb.widgets.run import RunWidget

        self._run = run
        self._id = uuid.uuid4().hex
        self._widget = RunWidget(run)

    def open(self) -> None:
        display(self._widget, display_id=self._id)

    def close(self) -> None:
        update_display(static_bundle(self._run), raw=True, display_id=self._id)
        outlive(self._widget)


def outlive(widget: AgentWidget) -> None:
    """Keep a widget whose output was replaced, until many others have come after it."""
    _kept.append(widget)
    if len(_kept) > _KEPT:
        _kept.popleft().close()


def current_shell() -> InteractiveShell | None:
    """Return the running IPython shell, None in plain Python."""
    return get_ipython()

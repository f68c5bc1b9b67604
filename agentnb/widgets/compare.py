"""`CompareWidget`: several runs of one question side by side, as a Jupyter widget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from agentnb.event.types import Event
from agentnb.recording.recording import Waiting
from agentnb.render import RunView
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.bounds import NAME_TEXT, QUESTION_TEXT, shortened
from agentnb.widgets.controller import LiveRun, RunPublisher
from agentnb.widgets.protocol import Snapshot, jsonable

__all__ = ["CompareWidget", "LiveComparison"]


class LiveComparison(Protocol):
    """What the widget needs of a comparison."""

    @property
    def prompt(self) -> str: ...
    @property
    def runs(self) -> Sequence[LiveRun]: ...
    @property
    def labels(self) -> Sequence[str]: ...

    def bundle(self) -> Mapping[str, str]:
        """Return what stands for the view where there is no kernel or no widget manager."""
        ...


class CompareWidget(AgentWidget):
    """Shows several runs side by side while they go on, and their ends.

    The trait ``snapshot``, ``{seq, compare: {prompt, title, runs: [{id, label, run}]}}``, holds
    each run's state at the widget's making and, once all have ended, the final ones.  In between
    each run's messages go in an envelope, ``{type: "run", turn: id, message}``, both ways; the page
    may also say ``{type: "stop"}`` for all.  Closing the widget leaves the runs alone.
    """

    def __init__(self, comparison: LiveComparison) -> None:
        self._shown = comparison
        self._lock = threading.Lock()
        self._publishers: Final = {
            f"r{index}": self._publisher(f"r{index}", _Labelled(run, label))
            for index, (run, label) in enumerate(
                zip(comparison.runs, comparison.labels, strict=True)
            )
        }
        first = {key: each.first() for key, each in self._publishers.items()}
        self._finals = {k: each for k, each in first.items() if each["run"]["duration"] is not None}
        super().__init__(kind="compare", snapshot=self._state(first, seq=0))
        for each in self._publishers.values():
            each.start()

    def close(self) -> None:
        """Take the view away.  The runs go on."""
        # Also called for a widget that is being torn down half made.
        publishers: dict[str, RunPublisher] = getattr(self, "_publishers", {})
        for each in publishers.values():
            each.close()
        super().close()

    def _publisher(self, key: str, run: LiveRun) -> RunPublisher:
        return RunPublisher(
            run,
            send=lambda message: self._send_message(
                {"type": "run", "turn": key, "message": message}
            ),
            keep=lambda snapshot: self._keep(key, snapshot),
        )

    def _keep(self, key: str, snapshot: Snapshot) -> None:
        # The trait is sent as a whole, so it waits for the last.  A page that is opened before asks
        # for what it misses.
        with self._lock:
            self._finals[key] = snapshot
            if len(self._finals) == len(self._publishers):
                self.snapshot = self._state(self._finals, seq=1)

    def _state(self, runs: Mapping[str, Snapshot], *, seq: int) -> dict[str, Any]:
        labels = zip(self._publishers, self._shown.labels, strict=True)
        compare = {
            "prompt": shortened(self._shown.prompt, QUESTION_TEXT),
            "title": f"Comparison of {len(self._publishers)} agents",
            "runs": [
                {"id": key, "label": shortened(label, NAME_TEXT), "run": runs[key]}
                for key, label in labels
            ],
        }
        return {"seq": seq, "compare": jsonable(compare)}

    def _receive(self, content: object, buffers: Sequence[Any]) -> None:
        if not isinstance(content, Mapping):
            return
        match cast("Mapping[str, Any]", content):
            case {"type": "stop"}:
                for each in self._publishers.values():
                    each.receive({"type": "stop"})
            case {"type": "run", "turn": str(key), "message": message}:
                if (publisher := self._publishers.get(key)) is not None:
                    publisher.receive(message)
            case _:
                pass

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        made = cast("Any", super())._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", made)
        # For viewers without a kernel, and without a widget manager.
        return {**data, **self._shown.bundle()}, metadata


class _Labelled:
    """A run that goes by the label it has among the others."""

    def __init__(self, run: LiveRun, label: str) -> None:
        self._run = run
        self._label = label

    @property
    def lock(self) -> AbstractContextManager[Any]:
        return self._run.lock

    @property
    def events(self) -> Sequence[Event]:
        return self._run.events

    @property
    def event_times(self) -> Sequence[float]:
        return self._run.event_times

    @property
    def waiting(self) -> Waiting | None:
        return self._run.waiting

    def view(self) -> RunView:
        return replace(self._run.view(), title=self._label)

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        return self._run.subscribe(callback)

    def cancel(self) -> None:
        self._run.cancel()

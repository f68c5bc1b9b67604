"""`CompareWidget`, several runs of one question side by side as a Jupyter widget."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, cast

from agentnb.widgets.base import AgentWidget
from agentnb.widgets.bounds import NAME_TEXT, QUESTION_TEXT, shortened
from agentnb.widgets.protocol import Snapshot, jsonable
from agentnb.widgets.run import ObservableRun, RunPublisher

__all__ = ["CompareWidget", "LiveComparison"]


class LiveComparison(Protocol):
    """The interface of a comparison that the widget needs; `bundle` is its static rendering."""

    @property
    def prompt(self) -> str: ...
    @property
    def runs(self) -> Sequence[ObservableRun]: ...
    @property
    def labels(self) -> Sequence[str]: ...
    def bundle(self) -> Mapping[str, str]: ...


class CompareWidget(AgentWidget):
    """Live view of several runs side by side.

    The trait ``snapshot``, ``{seq, compare: {prompt, title, runs: [{id, label, run}]}}``, holds
    each run's state when the widget is created, and the final ones when all have ended.  Messages
    of a run are wrapped as ``{type: "run", turn: id, message}``, in both directions; the page may
    also send ``{type: "stop"}`` for all.  Closing the widget does not stop the runs.
    """

    def __init__(self, comparison: LiveComparison) -> None:
        self._comparison = comparison
        self._lock = threading.Lock()
        self._publishers: Final = {
            f"r{index}": self._publisher(f"r{index}", run, label)
            for index, (run, label) in enumerate(
                zip(comparison.runs, comparison.labels, strict=True)
            )
        }
        first = {key: publisher.first() for key, publisher in self._publishers.items()}
        self._finals = {k: each for k, each in first.items() if each["run"]["duration"] is not None}
        super().__init__(kind="compare", snapshot=self._state(first, seq=0))
        for publisher in self._publishers.values():
            publisher.start()

    def close(self) -> None:
        """Remove the view; the runs go on."""
        # Also called on an instance whose constructor failed.
        publishers: dict[str, RunPublisher] = getattr(self, "_publishers", {})
        for publisher in publishers.values():
            publisher.close()
        super().close()

    def _publisher(self, key: str, run: ObservableRun, label: str) -> RunPublisher:
        return RunPublisher(
            run,
            send=lambda message: self._send_message(
                {"type": "run", "turn": key, "message": message}
            ),
            keep=lambda snapshot: self._keep(key, snapshot),
            title=label,
        )

    def _keep(self, key: str, snapshot: Snapshot) -> None:
        # Set once, after the last run, since traits are sent as a whole.  A page opened before
        # that asks for what it misses.
        with self._lock:
            self._finals[key] = snapshot
            if len(self._finals) == len(self._publishers):
                self.snapshot = self._state(self._finals, seq=1)

    def _state(self, runs: Mapping[str, Snapshot], *, seq: int) -> dict[str, Any]:
        labels = zip(self._publishers, self._comparison.labels, strict=True)
        compare = {
            "prompt": shortened(self._comparison.prompt, QUESTION_TEXT),
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
                for publisher in self._publishers.values():
                    publisher.receive({"type": "stop"})
            case {"type": "run", "turn": str(key), "message": message} if key in self._publishers:
                self._publishers[key].receive(message)
            case _:
                pass

    def _fallback(self) -> Mapping[str, str]:
        return self._comparison.bundle()

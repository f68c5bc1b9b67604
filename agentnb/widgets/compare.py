"""`CompareWidget`, several runs of one question side by side as a Jupyter widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from agentnb._support.text import shortened
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT, QUESTION_TEXT
from agentnb.widgets.protocol import Fields, anything, jsonable, parse_message, text
from agentnb.widgets.publisher import Publisher, Send
from agentnb.widgets.run import RunPublisher

if TYPE_CHECKING:
    from agentnb.comparison import Comparison

_MESSAGES: Final[dict[str, Fields]] = {
    "stop": {},
    "run": {"turn": text(KEY_TEXT), "message": anything},
}


class ComparePublisher(Publisher):
    """Publishes the runs of a comparison, each wrapped by its id."""

    def __init__(self, comparison: Comparison, *, send: Send, keep: Send) -> None:
        super().__init__(send, keep)
        self._prompt = shortened(comparison.prompt, QUESTION_TEXT)
        self._labels = [shortened(label, NAME_TEXT) for label in comparison.labels]
        keys = [f"r{index}" for index in range(len(comparison.runs))]
        self._publishers: Final = {
            key: RunPublisher(
                run, send=send, keep=partial(self._keep_run, key), turn=key, title=label
            )
            for key, run, label in zip(keys, comparison.runs, comparison.labels, strict=True)
        }
        self._finals: dict[str, Mapping[str, Any]] = {}

    def first(self) -> Mapping[str, Any]:
        first = {key: publisher.first() for key, publisher in self._publishers.items()}
        self._finals = {k: each for k, each in first.items() if each["run"]["duration"] is not None}
        return self._state(first, seq=0)

    def start(self) -> None:
        for publisher in self._publishers.values():
            publisher.start()

    def close(self) -> None:
        for publisher in self._publishers.values():
            publisher.close()

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        match parse_message(content, _MESSAGES):
            case {"type": "stop"}:
                for publisher in self._publishers.values():
                    publisher.receive({"type": "stop"})
            case {"type": "run", "turn": key, "message": message} if key in self._publishers:
                self._publishers[key].receive(message)
            case _:
                pass

    def _keep_run(self, key: str, snapshot: Mapping[str, Any]) -> None:
        # Set once, after the last run, since traits are sent as a whole.  A page opened before
        # that asks for what it misses.
        with self._lock:
            self._finals[key] = snapshot
            if self._keep and len(self._finals) == len(self._publishers):
                self._keep(self._state(self._finals, seq=1))

    def _state(self, runs: Mapping[str, Mapping[str, Any]], *, seq: int) -> dict[str, Any]:
        labels = zip(self._publishers, self._labels, strict=True)
        compare = {
            "prompt": self._prompt,
            "title": f"Comparison of {len(self._publishers)} agents",
            "runs": [{"id": key, "label": label, "run": runs[key]} for key, label in labels],
        }
        return {"seq": seq, "compare": jsonable(compare)}


class CompareWidget(AgentWidget):
    """Live view of several runs side by side.

    The trait ``snapshot``, ``{seq, compare: {prompt, title, runs: [{id, label, run}]}}``, holds
    each run's state when the widget is created, and the final ones when all have ended.  Messages
    of a run are wrapped as ``{type: "run", turn: id, message}``, in both directions; the page may
    also send ``{type: "stop"}`` for all.  Closing the widget does not stop the runs.
    """

    def __init__(self, comparison: Comparison) -> None:
        publisher = ComparePublisher(comparison, send=self._send_message, keep=self._keep)
        super().__init__("compare", publisher, bundle=comparison.bundle)

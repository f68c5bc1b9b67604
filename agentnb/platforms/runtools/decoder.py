"""From RunTools' frames to events: a pure state machine."""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from agentnb.event.types import Event, RunStarted, TextDelta, UsageReported
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import Inbound, as_text, mend, validated
from agentnb.platforms.generic import GenericDecoder
from agentnb.platforms.generic.ends import terminal
from agentnb.platforms.generic.fields import whole_text
from agentnb.platforms.runtools import wire

__all__ = ["Decoder", "result_events"]


class Decoder(GenericDecoder):
    """Turns the frames of one run into events.

    RunTools' event names and payloads vary by runtime, so that they are decoded by category.  A
    ``file_edit`` and a ``dev_url`` are RunTools' own: things the agent did at that point of its
    answer, and a reader wants them there, with the diff or the address at hand.  Each becomes a
    finished tool call of that name, with the path as its argument and the diff, or the address, as
    its result.
    """

    session_id_keys = ("threadId", "thread_id")
    own_kinds = frozenset({"file_edit", "dev_url"})

    def decode_own(self, kind: str, fields: dict[str, Any]) -> list[Event]:
        ids = {*self.run_id_keys, *self.session_id_keys}
        fields = {key: value for key, value in fields.items() if key not in ids}
        if kind == "file_edit":
            edit = validated(wire.FileEditFrame, fields)
            arguments = {"path": edit.path, **_others(edit)}
            return self.calls.done(kind, as_text(arguments), as_text(edit.diff))
        address = validated(wire.DevUrlFrame, fields)
        others = _others(address)
        return self.calls.done(kind, as_text(others) if others else "", mend(address.url))


def result_events(data: Any) -> list[Event] | None:
    """Return the events of an answer that is not streamed; None where it is no run."""
    outer = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    inner = outer.get("data", outer)
    try:
        found = wire.RunResult.model_validate(inner)
    except (ValidationError, RecursionError):
        return None
    if not {"status", "result", "run_id"} & found.model_fields_set:
        return None
    model = mend(found.model or "") or None
    events: list[Event] = [
        RunStarted(
            run_id=mend(found.run_id or "") or None,
            session_id=mend(found.thread_id or "") or None,
            model=model,
        )
    ]
    text = whole_text(found.result)
    if text:
        events.append(TextDelta(text))
    usage = read_usage(found.usage)
    if usage is not None:
        events.append(UsageReported(usage=usage, model=model))
    end = terminal(found.status or "completed", text, found.error, found.iterations)
    return [*events, end] if end is not None else events


def _others(frame: Inbound) -> dict[str, Any]:
    return dict(frame.model_extra or {})

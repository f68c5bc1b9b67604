"""Decoder of RunTools's frames: a pure state machine."""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from agentnb.event.types import Event, RunStarted, TextDelta, UsageReported
from agentnb.platforms._usage import read_usage
from agentnb.platforms._wire import as_text, mend, validated
from agentnb.platforms.generic import GenericDecoder
from agentnb.platforms.generic.fields import whole_text
from agentnb.platforms.generic.run_ends import status_end
from agentnb.platforms.runtools.wire import DevUrlFrame, FileEditFrame, RunResult

__all__ = ["Decoder", "result_events"]


class Decoder(GenericDecoder):
    """Turns the frames of one run into events.

    Event names and payloads vary by runtime, so they are decoded by category.  ``file_edit`` and
    ``dev_url`` are RunTools's own.  Each becomes a finished tool call of that name, which shows it
    in its place in the answer: with the path as argument and the diff as result, or the address as
    result.
    """

    session_id_keys = ("threadId", "thread_id")
    own_kinds = frozenset({"file_edit", "dev_url"})

    def decode_own(self, kind: str, fields: dict[str, Any]) -> list[Event]:
        ids = {*self.run_id_keys, *self.session_id_keys}
        fields = {key: value for key, value in fields.items() if key not in ids}
        if kind == "file_edit":
            edit = validated(FileEditFrame, fields)
            arguments = {"path": edit.path, **(edit.model_extra or {})}
            return self.calls.done(kind, as_text(arguments), as_text(edit.diff))
        address = validated(DevUrlFrame, fields)
        return self.calls.done(kind, as_text(address.model_extra or None), mend(address.url))


def result_events(data: Any) -> list[Event] | None:
    """Return the events of a response that is not streamed; None if it is no run."""
    outer = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    try:
        run = RunResult.model_validate(outer.get("data", outer))
    except (ValidationError, RecursionError):
        return None
    if not {"status", "result", "run_id"} & run.model_fields_set:
        return None
    model = mend(run.model or "") or None
    run_id, session_id = mend(run.run_id or "") or None, mend(run.thread_id or "") or None
    events: list[Event] = [RunStarted(run_id=run_id, session_id=session_id, model=model)]
    text = whole_text(run.result)
    if text:
        events.append(TextDelta(text))
    usage = read_usage(run.usage)
    if usage is not None:
        events.append(UsageReported(usage=usage, model=model))
    end = status_end(run.status or "completed", text, run.error, run.iterations)
    return [*events, end] if end is not None else events

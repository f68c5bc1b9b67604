"""Decoder of RunTools's frames: a pure state machine."""

from __future__ import annotations

from typing import Any

from agentnb._support.text import well_formed
from agentnb.event.types import Event, RunStarted, TextDelta
from agentnb.platforms._payloads import as_object, usage_events
from agentnb.platforms._wire import MalformedError, as_text, validated
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.platforms.generic.fields import whole_text
from agentnb.platforms.generic.run_ends import status_end
from agentnb.platforms.runtools.wire import DevUrlFrame, FileEditFrame, RunResult


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
        return self.calls.done(kind, as_text(address.model_extra or None), well_formed(address.url))


def result_events(
    data: Any, *, run_id: str | None = None, session_id: str | None = None
) -> list[Event] | None:
    """Return the events of a response that is not streamed; None if it is no run.

    The ids are used if the response has none.
    """
    outer = as_object(data)
    try:
        run = validated(RunResult, outer.get("data", outer))
    except MalformedError:
        return None
    if not {"status", "result", "run_id"} & run.model_fields_set:
        return None
    model = well_formed(run.model or "") or None
    run_id, session_id = (
        well_formed(run.run_id or "") or run_id,
        well_formed(run.thread_id or "") or session_id,
    )
    events: list[Event] = [RunStarted(run_id=run_id, session_id=session_id, model=model)]
    text = whole_text(run.result)
    if text:
        events.append(TextDelta(text))
    events += usage_events(run.usage, model=model)
    end = status_end(run.status or "completed", text, run.error, run.iterations)
    return [*events, end] if end is not None else events

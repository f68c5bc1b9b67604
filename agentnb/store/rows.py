"""The rows of a run that are new since the last write, with secrets redacted."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb.event.serialization import encode
from agentnb.event.transcript import Passage, ToolCall
from agentnb.event.types import Event
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.names import storable_url
from agentnb.recording.base_run import BaseRun
from agentnb.redaction.events import masked_event, without_secrets
from agentnb.redaction.secrets import has_secret, mask_value
from agentnb.store.processes import user_name
from agentnb.store.record import RunRecord, plain
from agentnb.store.values import span

# A chunk is rewritten with later events until it has so many events or characters: a slow stream
# would otherwise leave a row for each few words.
_FULL_EVENTS: Final = 256
_FULL_CHARS: Final = 8192
_MAX_EVENTS: Final = 4096


@dataclass(slots=True, kw_only=True)
class Rows:
    """Rows of one run to write, by the columns of the tables.

    ``is_fresh``: its events in the store are replaced.  ``replaced`` are the keys of runs that it
    replaces; ``may_be_pulled``: look for a pulled row of it.  ``attach_ended``: it is an attached
    run that has ended; ``has_ended``: it was started here and has ended.
    """

    run: dict[str, Any]
    content: dict[str, Any] | None
    chunks: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]
    is_fresh: bool
    replaced: Sequence[str] = ()
    may_be_pulled: bool = False
    attach_ended: bool = False
    has_ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much of a run is in the store.

    ``first`` is the position of the open chunk's first event, ``seen`` the number of events;
    ``content`` and ``calls`` identify the versions of the texts and the tool calls.
    """

    first: int = 0
    seen: int = 0
    content: Hashable = None
    calls: Mapping[int, Hashable] = field(default_factory=dict[int, Hashable])

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has been written yet."""
        return self.content is None


def rows_of(
    run: BaseRun,
    progress: Progress,
    *,
    process: str | None,
    user: str | None,
    store_content: bool,
    last: bool = False,
) -> tuple[Rows, Progress]:
    """Return the new rows of ``run``, and the progress once they are written.

    Without ``store_content`` the only texts are names, ids and the run's error.  The texts of a
    live run are written when they have doubled, so that the cost stays linear, and at its end or
    with ``last``.
    """
    with run.lock:
        events, times = run.events_since(progress.first)
        ended = run.done or last
        record = RunRecord.from_run(run, process=process, user=user)
        record.events = progress.first + len(events)
        size = sum(len(part.text) for part in run.transcript.parts if isinstance(part, Passage))
        written = (ended, size if ended else size.bit_length(), store_content)
        has_texts = written != progress.content and store_content
        if has_texts:
            record.add_texts(run.transcript)
        calls = [
            (position, version, _call_values(run.local_id, position, call, store_content))
            for position, call in enumerate(run.tool_calls)
            if progress.calls.get(position) != (version := _version(call))
        ]
    if has_texts:
        _add_request(record, run)
    chunks: list[dict[str, Any]] = []
    first = progress.first
    if not store_content:
        first = record.events
    elif record.events > progress.seen:
        chunks, first = event_chunks(run.local_id, first, events, times, ended=ended)
    rows = Rows(
        run=record.run_row(),
        content=record.content_row() if has_texts else None,
        chunks=chunks,
        tool_calls=[_redacted(values) for _, _, values in calls],
        is_fresh=progress.is_fresh,
    )
    versions = {position: version for position, version, _ in calls}
    return rows, Progress(
        first=first,
        seen=record.events,
        content=written,
        calls={**progress.calls, **versions} if versions else progress.calls,
    )


# -- tool calls ----------------------------------------------------------------------------------


def run_rows(run: BaseRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of ``run`` in the tables `run` and `content`."""
    with run.lock:
        record = RunRecord.from_run(run, process=None, user=user_name())
        record.add_texts(run.transcript)
    _add_request(record, run)
    return record.run_row(), record.content_row()


def _add_request(record: RunRecord, run: BaseRun) -> None:
    # The prompt of an attached run is unknown.
    is_attached = getattr(run, "via", None) == "attach"
    record.prompt = None if run.prompt == "" and is_attached else run.request.prompt
    record.request = _request(run.request, run.title)


def _version(call: ToolCall) -> Hashable:
    """Return a value that changes when a call is to be rewritten; while it runs, on doubling."""
    sizes = (len(call.arguments_text), len(call.result_text))
    if call.status == "running":
        sizes = (sizes[0].bit_length(), sizes[1].bit_length())
    return (call.status, call.name, call.error, sizes)


def call_row(key: str, position: int, call: ToolCall, *, store_content: bool) -> dict[str, Any]:
    """Return the row of a tool call, with secrets redacted."""
    return _redacted(_call_values(key, position, call, store_content))


def _call_values(key: str, position: int, call: ToolCall, store_content: bool) -> dict[str, Any]:
    return {
        "run": key,
        "position": position,
        "call_id": call.call_id,
        "name": call.name,
        "status": call.status,
        "started": span(call.started),
        "finished": span(call.finished),
        "arguments": str(call.arguments_text) if store_content else None,
        "result": str(call.result_text) if store_content else None,
        # A tool's error repeats its arguments.
        "error": call.error if store_content else None,
    }


def _redacted(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if value is None or isinstance(value, int) else plain(value)
        for name, value in values.items()
    }


# -- events --------------------------------------------------------------------------------------


def event_chunks(
    key: str, first: int, events: Sequence[Event], times: Sequence[float], *, ended: bool
) -> tuple[list[dict[str, Any]], int]:
    """Return the chunks of ``events``, and the position that the next write starts at."""
    clean, may_continue = without_secrets(events)
    chunks: list[dict[str, Any]] = []
    size = 0
    for start in range(0, len(events), _MAX_EVENTS):
        batch = clean[start : start + _MAX_EVENTS]
        when = times[start : start + _MAX_EVENTS]
        payload = encode(batch, when)
        if has_secret(payload):
            payload = encode([masked_event(event) for event in batch], when)
        size = len(payload)
        chunks.append({"run": key, "first": first + start, "count": len(batch), "payload": payload})
    last = chunks[-1]
    is_full = last["count"] >= _FULL_EVENTS or size >= _FULL_CHARS
    # A chunk that may end in the middle of a secret is rewritten once the rest is known.
    if not is_full or (may_continue and not ended and len(events) < _MAX_EVENTS):
        return chunks, last["first"]
    return chunks, first + len(events)


# -- the request ---------------------------------------------------------------------------------


def _request(request: RunRequest, title: str) -> str:
    """Return the request as JSON; see the table ``content``."""
    fields = {
        "session_id": request.session_id,
        "params": dict(request.params),
        "history": [dict(message) for message in request.history],
        "output_schema": request.output_schema,
        "media": [_attachment(item) for item in request.media],
        "followups": request.followups,
        "title": title,
    }
    try:
        return _json({**mask_value(fields), "params": mask_value(fields["params"], names=True)})
    except (TypeError, ValueError, RecursionError):
        # Only the user's own values can be the cause.
        return _json(mask_value({**fields, "params": {}, "history": [], "output_schema": None}))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)


def _attachment(item: Media) -> dict[str, Any]:
    name, size = item.name, None
    if item.data is not None:
        size = len(item.data)
    elif item.path is not None:
        name = name or item.path.name
        try:
            size = item.path.stat().st_size
        except OSError:
            size = None
    url = None if item.url is None else storable_url(item.url)
    return {"name": name, "mime_type": item.mime_type, "bytes": size, "url": url}

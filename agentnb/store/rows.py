"""The rows of a run that are new since the last write, with secrets redacted."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agentnb.event.serialization import encode
from agentnb.event.transcript import ToolCall
from agentnb.event.types import Event
from agentnb.platforms.base import Media, RunRequest
from agentnb.platforms.names import storable_url
from agentnb.recording.base_run import BaseRun
from agentnb.redaction.events import masked_event, without_secrets
from agentnb.redaction.secrets import has_secret, mask, mask_value
from agentnb.render.visible import well_formed
from agentnb.store.identifiers import clean_run
from agentnb.store.timestamps import span, to_micros

__all__ = ["Progress", "Rows", "plain", "rows_of"]

# A chunk is rewritten with later events until it has so many events or characters: a slow stream
# would otherwise leave a row for each few words.
_FULL_EVENTS: Final = 256
_FULL_CHARS: Final = 8192
_MAX_EVENTS: Final = 4096
_MAX_INT: Final = 2**63 - 1
# The columns of a run that are not text.
_NUMBERS: Final = frozenset(
    {
        *("started_at", "finished_at", "duration", "first_token", "cost_usd"),
        *("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens"),
        *("tool_calls", "tool_errors", "reconnects", "events"),
    }
)


@dataclass(slots=True, kw_only=True)
class Rows:
    """Rows of one run to write, by the columns of the tables."""

    run: dict[str, Any]
    content: dict[str, Any] | None
    chunks: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]


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
    process: str,
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
        row = _run_row(run)
        row |= {"process": process, "events": progress.first + len(events)}
        size = sum(
            len(part.text) for part in run.transcript.parts if not isinstance(part, ToolCall)
        )
        written = (ended, size if ended else size.bit_length(), store_content)
        texts = None
        if written != progress.content and store_content:
            texts = (run.transcript.text, run.transcript.reasoning)
        calls = [
            (position, version, _call_row(run.local_id, position, call))
            for position, call in enumerate(run.tool_calls)
            if progress.calls.get(position) != (version := _version(call))
        ]
    row["user_name"] = user
    content = None
    # The prompt of an attached run is unknown.
    is_attached = getattr(run, "via", None) == "attach"
    if texts is not None:
        content = {
            "run": run.local_id,
            "prompt": None if run.prompt == "" and is_attached else plain(run.request.prompt),
            "text": plain(texts[0]),
            "reasoning": plain(texts[1]),
            "request": _request(run.request, run.title),
        }
    chunks: list[dict[str, Any]] = []
    first = progress.first
    if not store_content:
        first = row["events"]
    elif row["events"] > progress.seen:
        chunks, first = _chunks(run.local_id, first, events, times, ended=ended)
    rows = Rows(
        run=clean_run(
            {
                name: value if value is None or name in _NUMBERS else plain(value)
                for name, value in row.items()
            }
        ),
        content=content,
        chunks=chunks,
        tool_calls=[_call_text(call, store_content=store_content) for _, _, call in calls],
    )
    versions = {position: version for position, version, _ in calls}
    return rows, Progress(
        first=first,
        seen=row["events"],
        content=written,
        calls={**progress.calls, **versions} if versions else progress.calls,
    )


def plain(text: object) -> str:
    """Return ``text`` without secrets, lone surrogates and NUL characters."""
    # An id from a third-party platform need not be text.
    return well_formed(mask(str(text))).replace("\0", "\ufffd")


def _run_row(run: BaseRun) -> dict[str, Any]:
    transcript = run.transcript
    usage, failure = transcript.usage, transcript.failure
    started, duration = to_micros(run.created_at), span(run.duration)
    calls = run.tool_calls
    return {
        "key": run.local_id,
        "source": "recorded",
        "platform": run.platform,
        "agent": run.agent,
        "title": run.title,
        "run_id": transcript.run_id,
        "session_id": transcript.session_id,
        "model": transcript.model,
        "status": transcript.status,
        "started_at": started,
        "finished_at": started + duration if transcript.is_final and duration is not None else None,
        "duration": duration,
        "first_token": span(run.time_to_first_token),
        "input_tokens": _count(usage and usage.input_tokens),
        "output_tokens": _count(usage and usage.output_tokens),
        "total_tokens": _count(usage and usage.total_tokens),
        "cached_tokens": _count(usage and usage.cached_tokens),
        "reasoning_tokens": _count(usage and usage.reasoning_tokens),
        "cost_usd": _amount(usage and usage.cost_usd),
        "tool_calls": len(calls),
        "tool_errors": sum(call.status == "failed" for call in calls),
        "reconnects": run.reconnects,
        "error": run.error,
        "error_code": transcript.error_code,
        "error_class": failure and failure.error_type,
    }


def _count(number: int | None) -> int | None:
    # A platform may send any number; one that does not fit must not cost the run.
    return number if number is not None and abs(number) <= _MAX_INT else None


def _amount(number: float | None) -> float | None:
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None


# -- tool calls ----------------------------------------------------------------------------------


def _version(call: ToolCall) -> Hashable:
    """Return a value that changes when a call is to be rewritten; while it runs, on doubling."""
    sizes = (len(call.arguments_text), len(call.result_text))
    if call.status == "running":
        sizes = (sizes[0].bit_length(), sizes[1].bit_length())
    return (call.status, call.name, call.error, sizes)


def _call_row(key: str, position: int, call: ToolCall) -> dict[str, Any]:
    return {
        "run": key,
        "position": position,
        "call_id": call.call_id,
        "name": call.name,
        "status": call.status,
        "started": span(call.started),
        "finished": span(call.finished),
        "arguments": str(call.arguments_text),
        "result": str(call.result_text),
        "error": call.error,
    }


def _call_text(row: dict[str, Any], *, store_content: bool) -> dict[str, Any]:
    if not store_content:
        # A tool's error repeats its arguments.
        row = {**row, "arguments": None, "result": None, "error": None}
    return {
        name: value if value is None or isinstance(value, int) else plain(value)
        for name, value in row.items()
    }


# -- events --------------------------------------------------------------------------------------


def _chunks(
    key: str, first: int, events: list[Event], times: list[float], *, ended: bool
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
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
    return plain(text)


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

"""The durable record of a thread: what happened in its runs, for whoever asks later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from agentnb.event.types import Event, RunStarted
from agentnb.platforms._bodies import parse_time
from agentnb.platforms._wire import mend
from agentnb.platforms.runtools.decoder import Decoder

__all__ = ["events_by_run", "recorded", "sequence"]


def sequence(row: Mapping[str, Any], number: int) -> int:
    """Return a row's place in the record; ``number`` is its place in the answer."""
    value = row.get("sequence")
    return value if isinstance(value, int) and not isinstance(value, bool) else number


def recorded(decoder: Decoder, row: Mapping[str, Any]) -> list[Event]:
    """Return the events of one row; never raises."""
    name = row.get("type")
    payload = row.get("payload")
    return decoder.decode_frame(
        name if isinstance(name, str) else "", {} if payload is None else payload
    )


def events_by_run(
    rows: Sequence[Mapping[str, Any]], *, session_id: str
) -> dict[str, list[tuple[datetime | None, Event]]]:
    """Return the events of each run that ``rows`` name, by its id, in order, each with its time."""
    found: dict[str, list[tuple[datetime | None, Event]]] = {}
    decoders: dict[str, Decoder] = {}
    ordered = sorted(enumerate(rows), key=lambda pair: (sequence(pair[1], pair[0]), pair[0]))
    for _, row in ordered:
        run_id = row.get("runId")
        if not isinstance(run_id, str) or not run_id:
            continue
        run_id = mend(run_id)
        at = parse_time(row.get("createdAt"))
        if run_id not in decoders:
            decoders[run_id] = Decoder(run_id=run_id, session_id=session_id)
            found[run_id] = [(at, RunStarted(run_id=run_id, session_id=session_id))]
        found[run_id] += [(at, event) for event in recorded(decoders[run_id], row)]
    for run_id, decoder in decoders.items():
        last = found[run_id][-1][0]
        found[run_id] += [(last, event) for event in decoder.finish()]
    return found

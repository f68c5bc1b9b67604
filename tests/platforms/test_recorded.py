"""Every platform's decoder on that platform's recorded streams: whole, and cut after any frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentnb.event.types import TERMINAL_EVENTS, event_from_dict, event_to_dict
from agentnb.platforms.generic.decoder import GenericDecoder
from agentnb.platforms.operativus.decoder import Decoder as OperativusDecoder
from agentnb.platforms.runagent.decoder import Decoder as RunAgentDecoder
from agentnb.platforms.runtools.decoder import Decoder as RunToolsDecoder
from agentnb.platforms.seekr.decoder import Decoder as SeekrDecoder
from tests.cases import cases
from tests.platforms.recorded import EventDecoder, decoded, expected, frames, streams


def operativus(path: Path) -> OperativusDecoder:
    """A decoder that knows what its client does: the session, and which run was joined."""
    joined = "run_1" if path.stem.startswith("joined") else None
    return OperativusDecoder(session_id="sess_1", run_id=joined)


DECODERS: dict[str, Callable[[Path], EventDecoder]] = {
    "generic": lambda _: GenericDecoder(),
    "operativus": operativus,
    "runagent": lambda _: RunAgentDecoder(),
    "runtools": lambda _: RunToolsDecoder(),
    "seekr": lambda _: SeekrDecoder(),
}
# What must be among the recorded streams: the API page's own, and the forms that servers took.
RECORDED = {
    "generic": {"blocks", "chat", "responses", "plain"},
    "operativus": {"api_page", "server", "team", "joined"},
    "runagent": {"stream"},
    "runtools": {"named", "typed", "enveloped", "error"},
    "seekr": {"stream", "vercel", "wrapped"},
}
STREAMS = {f"{name}-{path.stem}": (name, path) for name in DECODERS for path in streams(name)}


@pytest.mark.parametrize("name", DECODERS)
def test_there_is_something_recorded(name: str) -> None:
    assert RECORDED[name] <= {path.stem for path in streams(name)}


@cases("name, path", STREAMS)
def test_a_recorded_stream_becomes_the_expected_events(name: str, path: Path) -> None:
    events = decoded(DECODERS[name](path), path.read_bytes())
    assert [event_to_dict(event) for event in events] == expected(path)
    assert [event_from_dict(data) for data in expected(path)] == events


@cases("name, path", STREAMS)
def test_a_stream_that_is_cut_brings_a_beginning_and_no_end_of_its_own(
    name: str, path: Path
) -> None:
    whole = frames(path.read_bytes())
    decoder = DECODERS[name](path)
    full = [event for frame in whole for event in decoder.decode(frame)]
    assert sum(isinstance(event, TERMINAL_EVENTS) for event in full) <= 1
    for count in range(len(whole)):
        decoder = DECODERS[name](path)
        events = [event for frame in whole[:count] for event in decoder.decode(frame)]
        assert events == full[: len(events)]
        assert not any(isinstance(event, TERMINAL_EVENTS) for event in decoder.finish())

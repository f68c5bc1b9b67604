"""Feed a decoder with damaged streams."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol, cast

from agentnb.event.transcript import fold
from agentnb.event.types import TERMINAL_EVENTS, Event
from agentnb.plugin import RunRequest
from agentnb.sse import Decoder as SSEDecoder
from agentnb.sse import ServerSentEvent

# Values of every JSON type, and texts that break careless code.
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1e308, 10**30, "", " ", "null", "\ud83d", "\x00\x1b[31m"),
    *([], {}, [None], {"": None}, {"type": []}, "x" * 10_000, {"__class__": {"__init__": 1}}),
)
_NOT_JSON: Final = (
    "",
    "{",
    "[DONE]",
    "nonsense",
    '{"type":',
    "[" * 5_000,
    "NaN",
    "-",
    '"',
    "1" * 5_000,
)


class StreamDecoder(Protocol):
    """The part of `BaseDecoder` that is fuzzed."""

    def decode(self, frame: ServerSentEvent) -> list[Event]: ...
    def decode_all(self, frames: Sequence[ServerSentEvent]) -> list[Event]: ...
    def finish(self) -> list[Event]: ...


def fuzz_decoder(
    decoder: Callable[[RunRequest], StreamDecoder],
    recorded: bytes,
    *,
    rounds: int = 300,
    seed: int = 0,
) -> None:
    """Check that no damage to a recorded stream makes a decoder fail.

    ``recorded`` is the body of a real response.  For each of ``rounds`` damaged streams, the same
    for the same ``seed``, the decoder has to return events only, the same ones frame by frame and
    all at once, and such as fold into a transcript.

    Raises:
        AssertionError: it does not; the message has the damaged stream.
    """
    for frames in mutated_streams(recorded, rounds=rounds, seed=seed):
        request = RunRequest(agent="agent", prompt="prompt")
        try:
            one_by_one, at_once = decoder(request), decoder(request)
            events = [event for frame in frames for event in one_by_one.decode(frame)]
            events += one_by_one.finish()
            again = [*at_once.decode_all(frames), *at_once.finish()]
            for event in events:
                # For callers without a type checker.
                if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise TypeError(f"{event!r} is no event")
            whole, other = fold(events), fold(again)
            if (whole.text, whole.reasoning) != (other.text, other.reasoning):
                raise ValueError("decode_all and decode give different text")
            if sum(isinstance(event, TERMINAL_EVENTS) for event in events) > 1:
                raise ValueError("the run ends more than once")
        except Exception as error:
            stream = "\n".join(f"{f.event}: {f.data[:500]}" for f in frames)
            raise AssertionError(f"{type(error).__name__}: {error}; stream:\n{stream}") from error


def mutated_streams(
    recorded: bytes, *, rounds: int, seed: int = 0
) -> Iterator[list[ServerSentEvent]]:
    """Yield the recorded stream, and ``rounds`` times a damaged one.

    Frames are dropped, repeated, exchanged and cut; of their JSON, fields are removed, renamed and
    given values of other types.
    """
    frames = SSEDecoder().feed(recorded + b"\n\n")
    yield list(frames)
    choices = random.Random(seed)
    for _ in range(rounds):
        damaged = list(frames)
        for _ in range(choices.randint(1, 4)):
            if damaged:
                _damage(damaged, choices)
        yield damaged


def _damage(frames: list[ServerSentEvent], choices: random.Random) -> None:
    at = choices.randrange(len(frames))
    frame = frames[at]
    match choices.randrange(8):
        case 0:
            del frames[at]
        case 1:
            frames.insert(choices.randrange(len(frames)), frame)
        case 2:
            other = choices.randrange(len(frames))
            frames[at], frames[other] = frames[other], frame
        case 3:
            frames[at] = frame._replace(data=frame.data[: choices.randrange(len(frame.data) + 1)])
        case 4:
            frames[at] = frame._replace(data=choices.choice(_NOT_JSON))
        case 5:
            frames[at] = frame._replace(event=choices.choice(("", "message", "error", "\ud800")))
        case _:
            try:
                data = json.loads(frame.data)
            except (ValueError, RecursionError):
                return
            frames[at] = frame._replace(data=json.dumps(_changed(data, choices)))


def _changed(data: Any, choices: random.Random) -> Any:
    """Return JSON with one value somewhere in it replaced, removed or under another name."""
    if isinstance(data, dict) and data:
        fields = dict(cast("dict[str, Any]", data))
        name = choices.choice(list(fields))
        match choices.randrange(4):
            case 0:
                del fields[name]
            case 1:
                fields[name.swapcase()] = fields.pop(name)
            case 2:
                fields[name] = choices.choice(_VALUES)
            case _:
                fields[name] = _changed(fields[name], choices)
        return fields
    if isinstance(data, list) and data:
        items = list(cast("list[Any]", data))
        at = choices.randrange(len(items))
        items[at] = _changed(items[at], choices)
        return items
    return choices.choice(_VALUES)

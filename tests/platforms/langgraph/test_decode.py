"""Frames that the development server does not send, and damaged ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event import (
    ApprovalRequested,
    Event,
    RawEvent,
    ReasoningDelta,
    RunFailed,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.event.transcript import fold
from agentnb.platforms.langgraph.decoder import Decoder
from agentnb.plugin import RunRequest, ServerSentEvent
from agentnb.testing import fuzz_decoder

REQUEST = RunRequest(agent="a", prompt="q")
ABOUT = {"langgraph_checkpoint_ns": "model:1"}


def chunk(content: Any = "", key: str | None = "m1", **fields: Any) -> tuple[str, Any]:
    return "messages", [{"type": "AIMessageChunk", "id": key, "content": content, **fields}, ABOUT]


def whole(content: Any, key: str | None = "m1", **fields: Any) -> tuple[str, Any]:
    return "messages", [{"type": "ai", "id": key, "content": content, **fields}, ABOUT]


def decoded(*frames: tuple[str, Any], decoder: Decoder | None = None) -> list[Event]:
    decoder = decoder or Decoder(REQUEST, thread_id="t1")
    sent = [ServerSentEvent(name, json.dumps(data), "", None) for name, data in frames]
    return decoder.decode_all(sent)


def test_the_start() -> None:
    metadata = ("metadata", {"run_id": "r1", "attempt": 1})
    assert decoded(metadata, metadata) == [RunStarted(run_id="r1", session_id="t1")]


def test_a_message_that_was_streamed_is_not_repeated() -> None:
    update = {"model": {"messages": [whole("Hi.")[1][0]]}}
    got = decoded(chunk("Hi"), chunk("."), whole("Hi."), ("updates", update))
    assert got == [TextDelta("Hi", "m1"), TextDelta(".", "m1")]


def test_a_message_that_was_not_streamed() -> None:
    """Graphs in JavaScript send updates only; a subgraph's has the earlier turns, too."""
    conversation = [
        {"type": "human", "content": "a", "id": "h1"},
        {"type": "ai", "content": "Old.", "id": "m0"},
        {"type": "human", "content": "b", "id": "h2"},
        {"type": "ai", "content": "New.", "id": "m1"},
    ]
    got = decoded(("updates", {"inner": {"messages": conversation}}))
    assert got == [TextDelta("New.", "m1")]


@pytest.mark.parametrize(
    ("content", "extra"),
    [
        ([{"type": "thinking", "thinking": "Hm."}], {}),
        ([{"type": "reasoning", "reasoning": "Hm."}], {}),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}], {}),
        ([{"type": "reasoning_content", "reasoning_content": {"text": "Hm."}}], {}),
        ("", {"reasoning_content": "Hm."}),
    ],
)
def test_reasoning_of_providers(content: Any, extra: dict[str, Any]) -> None:
    assert decoded(chunk(content, additional_kwargs=extra)) == [ReasoningDelta("Hm.", "m1")]


def test_blocks_of_content() -> None:
    image = {"type": "image", "url": "https://example.com/tea.png"}
    blocks = ["See ", {"type": "text", "text": "this: "}, {"type": "tool_use", "id": "c1"}, image]
    got = decoded(chunk(blocks))
    assert got[:2] == [TextDelta("See ", "m1"), TextDelta("this: ", "m1")]
    assert got[2:] == [RawEvent(name="image", data=json.dumps(image))]


def test_calls_in_parallel() -> None:
    def part(index: int, args: str, key: str | None = None) -> tuple[str, Any]:
        call = {"index": index, "args": args, "id": key, "name": key and "add"}
        # Some providers change the id of the message after its first chunk.
        return chunk("", "m1" if key else "m2", tool_call_chunks=[call])

    got = decoded(part(0, "", "c1"), part(1, "", "c2"), part(1, "{2}"), part(0, "{1}"))
    assert got == [
        ToolCallStarted(call_id="c1", name="add"),
        ToolCallStarted(call_id="c2", name="add"),
        ToolCallDelta(call_id="c2", arguments="{2}"),
        ToolCallDelta(call_id="c1", arguments="{1}"),
    ]


def test_calls_without_ids() -> None:
    got = decoded(whole("", tool_calls=[{"name": "add", "args": {"a": 1}, "id": None}]))
    assert got == [ToolCallStarted(call_id="m1/0", name="add", arguments='{"a": 1}')]


def test_results_of_tools() -> None:
    def result(content: Any, key: str) -> tuple[str, Any]:
        return "messages", [{"type": "tool", "tool_call_id": key, "content": content}, ABOUT]

    image = [{"type": "image", "url": "x"}]
    got = decoded(result([{"type": "text", "text": "3"}, "!"], "c1"), result(image, "c2"))
    assert got == [
        ToolCallFinished(call_id="c1", result="3!"),
        ToolCallFinished(call_id="c2", result=json.dumps(image)),
    ]


def test_usage_of_several_messages() -> None:
    def used(key: str, **counts: int) -> tuple[str, Any]:
        return chunk("", key, usage_metadata=counts)

    got = decoded(
        used("m1", input_tokens=5, output_tokens=0, total_tokens=5),
        used("m1", input_tokens=0, output_tokens=2, total_tokens=2),
        used("m2", input_tokens=1, output_tokens=1, total_tokens=2),
    )
    end = UsageReported(usage=Usage(input_tokens=6, output_tokens=3, total_tokens=9))
    assert got[-1] == end


def test_interrupts_follow_the_text_of_other_branches() -> None:
    interrupt = ("updates", {"__interrupt__": [{"value": "Really?", "id": "i1"}]})
    inner = ("updates|inner:1", interrupt[1])
    decoder = Decoder(REQUEST)
    assert decoded(interrupt, inner, chunk("Hi."), decoder=decoder) == [TextDelta("Hi.", "m1")]
    approvals = [*decoder.approvals.values()]
    assert approvals == [ApprovalRequested(approval_id="i1", message="Really?")]
    # The next run's text follows that of this one.
    after = Decoder(REQUEST, after=decoder)
    assert decoded(chunk("Ho.", "m2"), decoder=after) == [TextDelta("\n\nHo.", "m2")]


def test_errors_and_unknown_frames() -> None:
    got = decoded(("debug", {"n": 1}), ("messages", [1]), ("updates", 1), ("end", None))
    assert [type(event) for event in got] == [RawEvent, RawEvent]
    error = ("error", {"error": "ValueError", "message": "No."})
    assert decoded(error) == [RunFailed(message="No.", code="ValueError", error_type="ValueError")]
    assert decoded(("error", "No."))[0] == RunFailed(message="No.")


def test_damaged_streams() -> None:
    call = {"index": 0, "args": "{", "id": "c1", "name": "add"}
    frames = [
        ("metadata", {"run_id": "r1"}),
        chunk("Hi ", additional_kwargs={"reasoning_content": "Hm."}),
        chunk([{"type": "text", "text": "you"}, {"type": "reasoning", "summary": [{"text": "a"}]}]),
        chunk("", tool_call_chunks=[call], usage_metadata={"input_tokens": 1, "output_tokens": 2}),
        whole("Done.", "m2", tool_calls=[{"name": "add", "args": {}, "id": "c2"}]),
        ("messages", [{"type": "tool", "tool_call_id": "c1", "content": "3", "id": "x"}, ABOUT]),
        ("updates", {"model": {"messages": [whole("Late.", "m3")[1][0]], "n": 1}, "two": None}),
        (
            "updates",
            {"__interrupt__": [{"value": {"action_requests": [{"name": "a"}]}, "id": "i"}]},
        ),
        ("error", {"error": "ValueError", "message": "No."}),
    ]
    recorded = b"".join(
        f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in frames
    )
    fuzz_decoder(Decoder, recorded, rounds=1000)
    assert fold(decoded(*frames)).text == "Hi you\n\nDone.\n\nLate."

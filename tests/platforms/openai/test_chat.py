"""The decoder of Chat Completions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event import (
    CitationAdded,
    Event,
    RawEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.event.transcript import fold
from agentnb.platforms.openai.chat_decoder import ChatDecoder
from agentnb.plugin import RunRequest, ServerSentEvent

DONE = "[DONE]"


def decoded(*frames: dict[str, Any] | str, end: bool = True) -> list[Event]:
    decoder = ChatDecoder(RunRequest(agent="m", prompt="p"))
    texts = [frame if isinstance(frame, str) else json.dumps(frame) for frame in frames]
    events = decoder.decode_all([ServerSentEvent("message", text, "", None) for text in texts])
    return [*events, *(decoder.finish() if end else [])]


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "id": "c-1", "model": "m", "choices": [choice]}


def call(index: int | None = 0, call_id: str | None = None, **function: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": call_id, "type": "function", "function": function}
    return made if index is None else {"index": index, **made}


def test_an_answer_with_its_usage_after_the_reason() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert decoded(
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk("stop"),
        {**chunk(), "choices": [], "usage": usage},
        DONE,
    ) == [
        RunStarted(run_id="c-1", model="m"),
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageReported(usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5), model="m"),
        RunFinished(),
    ]


def test_the_clean_end_counts_only_after_a_reason() -> None:
    assert decoded(chunk(content="Hel"), chunk("stop"))[-1] == RunFinished()
    assert decoded(chunk(content="Hel"))[-1] == TextDelta("Hel")
    assert decoded(chunk(content="Hel"), DONE)[-1] == RunFinished()


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("tool_calls", RunFinished(details={"finish_reason": "tool_calls"})),
        (
            "length",
            RunFailed(
                message="The answer is incomplete: length.", code="length", hint="Raise max_tokens."
            ),
        ),
        (
            "content_filter",
            RunFailed(message="The answer is incomplete: content_filter.", code="content_filter"),
        ),
        ("error", RunFailed(message="The run failed.")),
    ],
)
def test_other_reasons(reason: str, end: Event) -> None:
    assert decoded(chunk(content="x"), chunk(reason), DONE)[-1] == end


@pytest.mark.parametrize(
    "frame",
    [
        {"error": {"message": "It broke.", "code": "500"}},
        {**chunk("error"), "error": {"message": "It broke.", "code": "500"}},
    ],
    ids=["alone", "beside a choice"],
)
def test_an_error_ends_the_run_once(frame: dict[str, Any]) -> None:
    events = decoded(chunk(content="x"), frame, DONE)
    assert events[2:] == [RunFailed(message="It broke.", code="500")]


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"reasoning_content": "Hm.", "reasoning": "Hm."},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
    ],
    ids=["vLLM", "OpenRouter", "both", "Mistral"],
)
def test_reasoning(delta: dict[str, Any]) -> None:
    transcript = fold(decoded(chunk(**delta), chunk(content="So.")))
    assert (transcript.reasoning, transcript.text) == ("Hm.", "So.")


def test_a_refusal_is_no_answer() -> None:
    assert fold(decoded(chunk(refusal="I won't."))).refusal == "I won't."


def test_sources_and_images() -> None:
    source = {
        "type": "url_citation",
        "url_citation": {"url": "https://example.com", "title": "Tea"},
    }
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    transcript = fold(decoded(chunk(annotations=[source]), chunk(images=[image])))
    assert transcript.citations == [CitationAdded(url="https://example.com", title="Tea")]
    assert [each.mime_type for each in transcript.media] == ["image/png"]


def test_tool_calls_by_their_index() -> None:
    assert decoded(
        chunk(tool_calls=[call(0, "a", name="add", arguments="")]),
        chunk(tool_calls=[call(1, "b", name="sub", arguments="{")]),
        chunk(tool_calls=[call(0, arguments="{}"), call(1, arguments="}")]),
        end=False,
    )[1:] == [
        ToolCallStarted(call_id="a", name="add"),
        ToolCallStarted(call_id="b", name="sub", arguments="{"),
        ToolCallDelta(call_id="a", arguments="{}"),
        ToolCallDelta(call_id="b", arguments="}"),
    ]


def test_tool_calls_as_some_servers_number_them() -> None:
    same = [call(0, "a", name="add", arguments="{}"), call(0, "b", name="sub", arguments="{}")]
    assert [c.call_id for c in fold(decoded(chunk(tool_calls=same))).tool_calls] == ["a", "b"]
    none = [call(None, name="add", arguments="{}"), call(None, name="sub", arguments={"x": 1})]
    calls = fold(decoded(chunk(tool_calls=none))).tool_calls
    assert [(c.call_id, c.name, c.arguments) for c in calls] == [
        ("call_0", "add", "{}"),
        ("call_1", "sub", '{"x": 1}'),
    ]


def test_a_further_choice_is_left_out() -> None:
    frame = chunk(content="one")
    frame["choices"].append({"index": 1, "delta": {"content": "two"}, "finish_reason": "stop"})
    assert decoded(frame, end=False)[1:] == [TextDelta("one")]


def test_a_completion_that_is_not_streamed_is_decoded_alike() -> None:
    message = {"role": "assistant", "content": "Hello", "tool_calls": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {"object": "chat.completion", "id": "c-1", "model": "m", "choices": [choice]}
    assert decoded({**whole, "usage": {"total_tokens": 5}}) == [
        RunStarted(run_id="c-1", model="m"),
        TextDelta("Hello"),
        UsageReported(usage=Usage(total_tokens=5), model="m"),
        RunFinished(),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        chunk(content=3),
        chunk(content=[{"type": "audio"}]),
        chunk(reasoning={"x": 1}),
        chunk(tool_calls=[3]),
        chunk(tool_calls=[call(0, "a", name={"x": 1})]),
        {**chunk(), "choices": [3]},
        {**chunk(), "choices": 3},
        "[1]",
        "nonsense",
    ],
    ids=str,
)
def test_a_malformed_frame_is_reported_and_the_run_goes_on(frame: dict[str, Any] | str) -> None:
    events = decoded(frame, chunk(content="Hi"), chunk("stop"), DONE)
    assert [e for e in events if isinstance(e, RawEvent) and e.problem]
    assert (events[-1], fold(events).text) == (RunFinished(), "Hi")


def test_what_is_unknown_is_kept() -> None:
    assert decoded({"x": 1}) == [RawEvent(name="message", data='{"x": 1}')]

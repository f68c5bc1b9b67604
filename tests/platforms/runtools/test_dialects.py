"""Runs of runtimes that speak the dialects of many servers, over HTTP: what a user sees of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

import pytest

import agentnb
from agentnb._http.options import TRANSPORT_VARIABLE
from tests.platforms.runtools.sse_runtime import Frame, body_of, data, named, runtime

pytestmark = pytest.mark.slow

WHOLE: Final = "Hello there,  world.\n"
PIECES: Final = ("Hello", " there,", "  world", ".\n")


@pytest.fixture(scope="module", params=["httpx", "aiohttp"])
def agent(request: pytest.FixtureRequest) -> Iterator[agentnb.Agent]:
    with pytest.MonkeyPatch.context() as patch, runtime() as (agent, _):
        patch.setenv(TRANSPORT_VARIABLE, request.param)
        yield agent


def run_of(agent: agentnb.Agent, *frames: Frame) -> agentnb.Run:
    return agent.run(body_of(frames), check=False)


def choice(delta: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "c", "object": "chat.completion.chunk", "choices": choices, **fields}


def block(delta: dict[str, Any], index: int = 0) -> Frame:
    kind = "content_block_delta"
    return named(kind, {"type": kind, "index": index, "delta": delta})


TEXTS: Final[dict[str, list[Frame]]] = {
    **{
        f"{key} {kind or 'untyped'}": [
            data({key: piece} if kind is None else {"type": kind, key: piece}) for piece in PIECES
        ]
        for key in ("content", "text", "delta", "token", "message", "chunk")
        for kind in (None, "text_delta", "delta", "message", "token", "chunk", "AgentMessageDelta")
    },
    **{
        f"{key} named {name}": [named(name, {key: piece}) for piece in PIECES]
        for key in ("content", "text", "delta", "token", "message", "chunk")
        for name in ("text", "token", "chunk", "delta", "text-delta", "agent_says")
    },
    "typed delta": [data({"delta": {"type": "text_delta", "text": piece}}) for piece in PIECES],
    "content blocks": [
        named("message_start", {"type": "message_start", "message": {"content": []}}),
        named("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        *(block({"type": "text_delta", "text": piece}) for piece in PIECES),
        named("content_block_stop", {"type": "content_block_stop", "index": 0}),
        named("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    ],
    "wrapped blocks": [
        data(
            {
                "type": "stream_event",
                "event": {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": piece},
                },
            }
        )
        for piece in PIECES
    ],
    "chat completions": [
        data(choice({"role": "assistant", "content": ""})),
        *(data(choice({"content": piece})) for piece in PIECES),
        data(choice({}, "stop")),
        data({"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3}}),
    ],
    "chat completions of parts": [
        data({"choices": [{"delta": {"content": [{"type": "text", "text": piece}]}}]})
        for piece in PIECES
    ],
    "responses": [
        data({"type": "response.created", "response": {"id": "r", "status": "in_progress"}}),
        *(data({"type": "response.output_text.delta", "delta": piece}) for piece in PIECES),
        data({"type": "response.output_text.done", "text": WHOLE}),
        data({"type": "response.output_item.done", "item": {"type": "message"}}),
    ],
    "named responses": [
        named("response.output_text.delta", {"type": "response.output_text.delta", "delta": piece})
        for piece in PIECES
    ],
    "message chunks": [
        data({"type": "AIMessageChunk", "content": [{"type": "text", "text": piece, "index": 0}]})
        for piece in PIECES
    ],
    "untyped message chunks": [
        data({"content": [{"type": "text", "text": piece}]}) for piece in PIECES
    ],
    "chain events": [
        data({"event": "on_chat_model_stream", "run_id": "x", "data": {"chunk": {"content": p}}})
        for p in PIECES
    ],
    "message and what is known of it": [
        named("messages", [{"type": "AIMessageChunk", "content": piece}, {"node": "agent"}])
        for piece in PIECES
    ],
    "upper case": [data({"type": "TEXT_MESSAGE_CONTENT", "delta": piece}) for piece in PIECES],
    "text deltas by id": [
        data({"type": "text-start", "id": "0"}),
        *(data({"type": "text-delta", "id": "0", "delta": piece}) for piece in PIECES),
        data({"type": "text-end", "id": "0"}),
    ],
    "content parts": [
        data({"candidates": [{"content": {"parts": [{"text": piece}], "role": "model"}}]})
        for piece in PIECES
    ],
    "assistant messages": [
        named(
            "thread.message.delta",
            {"delta": {"content": [{"index": 0, "type": "text", "text": {"value": piece}}]}},
        )
        for piece in PIECES
    ],
    "flags": [data({"response": piece, "done": False}) for piece in PIECES],
    "JSON texts": [f'data: "{piece}"\n\n'.replace(".\n", ".\\n", 1) for piece in PIECES],
    "named JSON texts": [
        f'event: token\ndata: "{piece}"\n\n'.replace(".\n", ".\\n", 1) for piece in PIECES
    ],
    "bare": ["data: " + piece.replace("\n", "\ndata: ") + "\n\n" for piece in PIECES],
    "named bare": [
        "event: delta\ndata: " + piece.replace("\n", "\ndata: ") + "\n\n" for piece in PIECES
    ],
    "in an envelope": [data({"type": "text", "data": {"text": piece}}) for piece in PIECES],
    "in an untyped envelope": [
        data({"event": "update", "data": {"type": "text_delta", "text": piece}}) for piece in PIECES
    ],
    "under an unknown key": [data({"type": "text_delta", "utterance": p}) for p in PIECES],
    "of an unknown kind": [data({"type": "spoken", "utterance": p}) for p in PIECES],
}
END_WORDS: Final = (
    *("complete", "completed", "done", "finish", "finished", "end", "stop", "final", "result"),
    *("message_stop", "response.completed", "run.completed", "run_completed", "run_finished"),
    *("run-completed", "RunCompleted", "agent.done", "AgentFinished", "DONE", "stream_end"),
    *("end_of_stream", "Run Finished", "final_answer", "ResponseCompleted", "message_end"),
)
ENDS: Final[dict[str, list[Frame]]] = {
    "[DONE]": [data("[DONE]")],
    "[done]": [data("[done]")],
    "done [DONE]": [named("done", "[DONE]")],
    **{f"event {word}": [named(word, {})] for word in END_WORDS},
    **{f"event {word} null": [named(word, "null")] for word in END_WORDS},
    **{f"event {word} without data": [named(word)] for word in END_WORDS},
    **{f"type {word}": [data({"type": word})] for word in END_WORDS},
    **{f"event key {word}": [data({"event": word, "data": {}})] for word in END_WORDS},
    **{f"kind {word}": [data({"kind": word, "status": "completed"})] for word in END_WORDS},
    **{
        f"{word} with the answer as {key}": [data({"type": word, key: WHOLE})]
        for word in ("complete", "final", "result", "completed", "done", "run.completed")
        for key in ("output", "result", "content", "text", "answer", "response", "message", "data")
    },
    "a message with the answer": [
        data({"type": "result", "message": {"content": [{"type": "text", "text": WHOLE}]}})
    ],
    "end, then [DONE]": [named("message_stop", {"type": "message_stop"}), data("[DONE]")],
    "twice": [data({"type": "completed", "text": WHOLE}), data({"type": "final", "text": WHOLE})],
}


def test_each_text_with_each_end_is_a_completed_run(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    pairs = [(text, "[DONE]") for text in TEXTS]
    # Each with another of the ends, and each end with one of two texts.
    pairs += zip(TEXTS, itertools.cycle(ENDS))
    pairs += zip(itertools.cycle(("content text_delta", "token untyped")), ENDS)
    for text, end in pairs:
        with subtests.test(text=text, end=end):
            run = run_of(agent, *TEXTS[text], *ENDS[end])
            assert (run.status, run.text) == ("completed", WHOLE)


def test_an_end_with_the_answer_is_the_answer_where_none_was_streamed(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    response = {
        "output": [{"type": "message", "content": [{"type": "output_text", "text": WHOLE}]}]
    }
    ends = {
        **{
            f"{word} {key}": data({"type": word, key: WHOLE})
            for word in ("complete", "final", "result", "completed", "done", "finish", "end")
            for key in ("output", "result", "content", "text", "answer", "response", "message")
        },
        "whole response": data({"type": "response.completed", "response": response}),
        "bare": "event: final\ndata: Hello there,  world.\ndata: \n\n",
        "unknown key": data({"type": "done", "what_it_says": WHOLE}),
        "untyped status": data({"status": "completed", "output": WHOLE}),
        "success": data({"type": "result", "subtype": "success", "result": WHOLE}),
    }
    for name, frame in ends.items():
        with subtests.test(end=name):
            run = run_of(agent, named("start", {}), frame)
            assert (run.status, run.text) == ("completed", WHOLE)


FAILURES: Final[dict[str, Frame]] = {
    **{
        word: data({"type": word, "message": "It broke."})
        for word in ("error", "failed", "run_failed", "RunFailed", "response.error", "agent-error")
    },
    "named": named("error", "It broke."),
    "error object": data({"error": {"message": "It broke.", "code": "x"}}),
    "error text": data({"error": "It broke."}),
    "response failed": data(
        {"type": "response.failed", "response": {"error": {"code": "x", "message": "It broke."}}}
    ),
    "result": data({"type": "result", "is_error": True, "result": "It broke."}),
    "done": data({"type": "done", "success": False, "error": "It broke."}),
    "status": data({"type": "completed", "status": "failed", "error": {"message": "It broke."}}),
}


def test_a_failure_stays_one_whatever_follows(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for name, frame in FAILURES.items():
        for end in ("[DONE]", "event done", "type completed"):
            with subtests.test(failure=name, end=end):
                run = run_of(agent, *TEXTS["text text_delta"], frame, *ENDS[end])
                assert (run.status, run.text) == ("failed", WHOLE)
                assert run.error is not None
                assert "It broke." in run.error
    with subtests.test("incomplete"):
        incomplete = {"incomplete_details": {"reason": "max_output_tokens"}}
        frame = data({"type": "response.incomplete", "response": incomplete})
        run = run_of(agent, *TEXTS["responses"], frame)
        assert run.status == "failed"
        assert "max_output_tokens" in str(run.error)


def test_a_cancelled_run_is_cancelled(agent: agentnb.Agent, subtests: pytest.Subtests) -> None:
    for word in ("cancelled", "canceled", "run.cancelled", "RunCanceled", "abort", "aborted"):
        for frame in (named(word, {}), data({"type": word}), named(word)):
            with subtests.test(frame=frame):
                run = run_of(agent, *TEXTS["token untyped"], frame, data("[DONE]"))
                assert (run.status, run.text) == ("cancelled", WHOLE)
    with subtests.test("status"):
        run = run_of(agent, data({"type": "done", "status": "cancelled"}))
        assert run.status == "cancelled"


def test_what_ends_a_part_does_not_end_the_run(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    parts = {
        **{
            kind: data({"type": kind})
            for kind in (
                *("content_block_stop", "text-end", "tool_end", "step_finish", "finish-step"),
                *("response.output_text.done", "response.output_item.done", "reasoning-end"),
                *("node_end", "on_chain_end", "response.content_part.done", "message_completed"),
            )
        },
        "tool result": data({"type": "result", "tool_call_id": "t", "output": "x"}),
        "tool done": data({"type": "done", "tool": "search", "result": "x"}),
        "finish reason": data(choice({}, "stop")),
        "tool turn": "".join(
            [
                named("message_delta", {"delta": {"stop_reason": "tool_use"}}),
                named("message_stop", {"type": "message_stop"}),
            ]
        ),
        "ping": named("ping", {"type": "ping"}),
        "bare ping": data("ping"),
        "heartbeat": data({"type": "heartbeat", "message": "still here"}),
        "keep-alive": named("keep-alive", "still here"),
    }
    for name, frame in parts.items():
        with subtests.test(part=name):
            begin, rest = TEXTS["text text_delta"][:2], TEXTS["text text_delta"][2:]
            run = run_of(agent, *begin, frame, *rest)
            assert (run.status, run.text) == ("truncated", WHOLE)
            run = run_of(agent, *begin, frame, *rest, data("[DONE]"))
            assert (run.status, run.text) == ("completed", WHOLE)


def test_a_model_that_stopped_has_ended_where_its_stream_does(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for name, frame in {
        "finish_reason": data(choice({}, "stop")),
        "stop_reason": named("message_delta", {"delta": {"stop_reason": "end_turn"}}),
        "parts": data({"candidates": [{"content": {"parts": []}, "finishReason": "STOP"}]}),
        "status": data({"type": "status", "status": "completed"}),
        "message": data({"type": "thread.message.completed"}),
    }.items():
        with subtests.test(stop=name):
            run = run_of(agent, *TEXTS["text text_delta"], frame)
            assert (run.status, run.text) == ("completed", WHOLE)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
        {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
    ],
    ids=["prompt", "input", "camel", "count"],
)
def test_usage_counts_with_an_end_and_after_it(
    agent: agentnb.Agent, usage: dict[str, int], subtests: pytest.Subtests
) -> None:
    for name, frames in {
        "with the end": [data({"type": "done", "usage": usage})],
        "beside the end": [data({"type": "done", **usage})],
        "in the response": [data({"type": "response.completed", "response": {"usage": usage}})],
        "after the end": [data({"type": "done"}), data({"type": "usage", "usage": usage})],
        "untyped, after the end": [data({"type": "done"}), data({"usage": usage})],
        "chat completions": [data(choice({}, "stop")), data({"choices": [], "usage": usage})],
        "metadata": [data({"usageMetadata": usage}), data("[DONE]")],
        "message": [named("message_delta", {"delta": {}, "usage": usage}), data("[DONE]")],
    }.items():
        with subtests.test(where=name):
            run = run_of(agent, *TEXTS["chat completions"][:-2], *frames)
            assert (run.status, run.text) == ("completed", WHOLE)
            assert run.usage is not None
            found = (run.usage.input_tokens, run.usage.output_tokens, run.usage.total_tokens)
            assert found == (3, 4, 7)

"""Whole runs as further servers stream them, over HTTP: text once, calls, and how the run ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

import agentnb
from tests.platforms.runtools.sse_runtime import Frame, body_of, data, named, runtime

WHOLE: Final = "Hello there, world."
PIECES: Final = ("Hello", " there,", " world", ".")
SO_FAR: Final = tuple("".join(PIECES[: end + 1]) for end in range(len(PIECES)))
ARGUMENTS: Final = {"city": "Oslo"}
HALVES: Final = ('{"city": ', '"Oslo"}')
DONE: Final = data({"type": "done"})


@pytest.fixture(scope="module")
def agent() -> Iterator[agentnb.Agent]:
    with runtime() as (agent, _):
        yield agent


def run_of(agent: agentnb.Agent, frames: list[Frame]) -> agentnb.Run:
    return agent.run(body_of(frames), check=False)


def parts(*items: dict[str, Any], **fields: Any) -> Frame:
    return data({"candidates": [{"content": {"parts": list(items)}, **fields}]})


RUNS: Final[dict[str, list[Frame]]] = {
    "named by the only key": [
        data({"messageStart": {"role": "assistant"}}),
        *(data({"contentBlockDelta": {"delta": {"text": piece}}}) for piece in PIECES),
        data({"messageStop": {"stopReason": "end_turn"}}),
    ],
    "the same in an envelope": [
        *(data({"event": {"contentBlockDelta": {"delta": {"text": piece}}}}) for piece in PIECES),
        data({"event": {"messageStop": {"stopReason": "end_turn"}}}),
    ],
    "tokens with details at the end": [
        *(data({"token": {"text": piece}, "generated_text": None}) for piece in PIECES[:-1]),
        data(
            {
                "token": {"text": PIECES[-1]},
                "generated_text": WHOLE,
                "details": {"finish_reason": "eos_token"},
            }
        ),
    ],
    "stop flag": [
        *(data({"content": piece, "stop": False}) for piece in PIECES),
        data({"content": "", "stop": True}),
    ],
    "one whole completion": [
        data({"object": "chat.completion", "choices": [{"message": {"content": WHOLE}}]}),
        data("[DONE]"),
    ],
    "messages in a result": [
        data({"result": {"kind": "artifact-update", "artifact": {"parts": [{"text": piece}]}}})
        for piece in PIECES
    ]
    + [
        data({"result": {"kind": "status-update", "status": {"state": "completed"}, "final": True}})
    ],
    "states of a graph": [
        named("values", {"messages": [{"type": "human", "content": "Hi"}]}),
        named("values", {"messages": [{"type": "ai", "content": WHOLE}]}),
        named("end"),
    ],
    "items": [
        data(
            {"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": WHOLE}}
        ),
        data({"type": "turn.completed"}),
    ],
    "generated results": [
        *(
            data({"results": [{"generated_text": piece, "stop_reason": "not_finished"}]})
            for piece in PIECES
        ),
        data({"results": [{"generated_text": "", "stop_reason": "eos_token"}]}),
    ],
    "partial messages, then all of it in the same kind": [
        *(data({"content": {"parts": [{"text": piece}]}, "partial": True}) for piece in PIECES),
        data({"content": {"parts": [{"text": WHOLE}]}}),
        data("[DONE]"),
    ],
    "all so far": [*(data({"content": text}) for text in (*SO_FAR, WHOLE)), DONE],
    "all so far, typed": [*(data({"type": "text", "text": text}) for text in SO_FAR), DONE],
    "all so far, in messages": [
        *(named("messages/partial", [{"type": "ai", "content": text}]) for text in SO_FAR),
        DONE,
    ],
    "data parts and events of others": [
        data({"type": "data-weather", "data": {"text": "not the answer"}}),
        data({"type": "RAW", "event": {"type": "text_delta", "text": "not the answer"}}),
        *(data({"type": "text-delta", "delta": piece}) for piece in PIECES),
        data("[DONE]"),
    ],
    "a user's message": [
        data({"event": "add_message", "data": {"text": "Hi", "sender": "User"}}),
        *(data({"event": "token", "data": {"chunk": piece}}) for piece in PIECES),
        data({"event": "end", "data": {}}),
    ],
    "a status and nothing else": [
        *(data({"type": "text", "text": piece}) for piece in PIECES),
        data({"state": "completed"}),
    ],
    "a prefix and a version": [
        *(data({"type": "text", "text": piece}) for piece in PIECES),
        data({"type": "agent.run_completed.v1"}),
    ],
}


def test_each_run_is_completed_with_its_text_once(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for name, frames in RUNS.items():
        with subtests.test(run=name):
            run = run_of(agent, frames)
            assert (run.status, run.text) == ("completed", WHOLE)


def test_fragments_that_repeat_are_fragments(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for pieces in (["ha", "haha"], ["x", "xx"], ["1", "12"], ["\n", "\n\n"], ["no", "no", "no"]):
        with subtests.test(pieces=pieces):
            run = run_of(agent, [*(data({"content": piece}) for piece in pieces), DONE])
            assert run.text == "".join(pieces)


CALLS: Final[dict[str, list[Frame]]] = {
    "named by the only key": [
        data({"contentBlockStart": {"start": {"toolUse": {"toolUseId": "c", "name": "weather"}}}}),
        *(data({"contentBlockDelta": {"delta": {"toolUse": {"input": half}}}}) for half in HALVES),
        data({"messageStop": {"stopReason": "tool_use"}}),
        data({"toolResult": {"toolUseId": "c", "content": [{"text": "-3"}]}}),
    ],
    "a result in a user's message": [
        data(
            {
                "type": "assistant",
                "message": {
                    "role": "assistant",
                    "content": [
                        {"type": "tool_use", "id": "c", "name": "weather", "input": ARGUMENTS}
                    ],
                },
            }
        ),
        data(
            {
                "type": "user",
                "message": {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "c", "content": "-3"}],
                },
            }
        ),
    ],
    "calls in a delta's message": [
        data(
            {
                "type": "tool-call-start",
                "index": 0,
                "delta": {"message": {"tool_calls": {"id": "c", "function": {"name": "weather"}}}},
            }
        ),
        *(
            data(
                {
                    "type": "tool-call-delta",
                    "index": 0,
                    "delta": {"message": {"tool_calls": {"function": {"arguments": half}}}},
                }
            )
            for half in HALVES
        ),
        data({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}),
        data({"type": "tool-result", "tool_call_id": "c", "content": "-3"}),
    ],
    "a message of a function": [
        data({"choices": [{"delta": {"function_call": {"name": "weather", "arguments": ""}}}]}),
        *(data({"choices": [{"delta": {"function_call": {"arguments": h}}}]}) for h in HALVES),
        data({"role": "function", "name": "weather", "content": "-3"}),
    ],
}


def test_calls_have_arguments_and_results(agent: agentnb.Agent, subtests: pytest.Subtests) -> None:
    answer = [data({"type": "text", "text": WHOLE}), DONE]
    for name, frames in CALLS.items():
        with subtests.test(call=name):
            run = run_of(agent, [*frames, *answer])
            assert [(call.name, call.result) for call in run.tool_calls] == [("weather", "-3")]
            assert json.loads(run.tool_calls[0].arguments) == ARGUMENTS
            assert (run.status, run.text) == ("completed", WHOLE)


def test_a_thought_is_not_repeated_and_not_the_answer(
    agent: agentnb.Agent, subtests: pytest.Subtests
) -> None:
    for name, frames in {
        "part": [parts({"text": "Hm.", "thought": True}), parts({"text": WHOLE})],
        "whole again": [
            data({"type": "thinking.delta", "text": "Hm."}),
            data({"type": "thinking", "text": "Hm."}),
            data({"type": "text", "text": WHOLE}),
        ],
    }.items():
        with subtests.test(thought=name):
            run = run_of(agent, [*frames, DONE])
            assert (run.reasoning, run.text) == ("Hm.", WHOLE)


def test_errors_say_what_went_wrong(agent: agentnb.Agent, subtests: pytest.Subtests) -> None:
    for frame in (
        data({"internalServerException": {"message": "It broke."}}),
        named("thread.run.failed", {"last_error": {"message": "It broke."}}),
        data({"type": "error", "errorMessage": "It broke."}),
        data({"type": "error", "errors": [{"message": "It broke."}]}),
        data({"type": "done", "status": "error", "message": "It broke."}),
    ):
        with subtests.test(frame=frame):
            run = run_of(agent, [frame, DONE])
            assert run.status == "failed"
            assert "It broke." in str(run.error)


def test_ids_of_what_runs_inside_are_not_the_runs(agent: agentnb.Agent) -> None:
    run = run_of(agent, [named("metadata", {"run_id": "inner", "thread_id": "inner"}), DONE])
    assert (run.id, run.session_id) == ("run_1", "thr_1")


def test_counts_have_short_names(agent: agentnb.Agent) -> None:
    run = run_of(agent, [data({"type": "done", "tokens": {"input": 3, "output": 4}})])
    assert run.usage is not None
    assert run.usage.total_tokens == 7

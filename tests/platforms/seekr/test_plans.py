"""What of a stream is the answer, and what is a plan or the text of a sub-agent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentnb.event.transcript import Transcript, fold
from agentnb.event.types import Event, TextDelta
from agentnb.platforms.seekr.decoder import Decoder
from agentnb.platforms.seekr.plans import PlanSplitter, split_plan
from tests.platforms.recorded import data_frames, decoded
from tests.platforms.recorded import frames as frames_of

PLAN = json.dumps({"goal": "a {price}", "steps": [{"do": 'look it "up" }'}]})
SUB = {"messageMetadata": {"metadata": {"agent_id": "a2", "parent_agent_id": "a1"}}}
TOP = {"messageMetadata": {"metadata": {"agent_id": "a1"}}}
START, FINISH = {"type": "start"}, {"type": "finish"}


def told(*payloads: Any) -> Transcript:
    return fold(decode(*payloads))


def decode(*payloads: Any) -> list[Event]:
    return decoded(Decoder(), data_frames(payloads))


def part(number: str, *pieces: str, **more: Any) -> list[dict[str, Any]]:
    """A text part in pieces."""
    return [
        {"type": "text-start", "id": number, **more},
        *({"type": "text-delta", "id": number, "delta": piece} for piece in pieces),
        {"type": "text-end", "id": number},
    ]


def page(*pieces: str) -> list[dict[str, Any]]:
    """Text of the other dialect in pieces."""
    return [{"type": "text_delta", "text": piece} for piece in pieces]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("space", ["", " \n"])
def test_a_plan_in_pieces_is_reasoning(size: int, space: str) -> None:
    whole = space + PLAN
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    found = told(START, *part("0", *pieces), *part("1", "It is ", "42."), FINISH)
    assert (found.text, found.reasoning.strip(), found.status) == ("It is 42.", PLAN, "completed")
    end = {"type": "end_node", "final_output": "It is 42."}
    begun = {"type": "part_start_event", "part_content": "TextPart(content='')"}
    found = told(begun, *page(*pieces), begun, *page("It is ", "42."), end)
    assert (found.text, found.reasoning.strip()) == ("It is 42.", PLAN)


def test_a_plan_is_shown_as_it_comes() -> None:
    shown = fold(decode(START, *part("0", '{"steps": [', '"look it up", ')[:-1]))
    assert shown.reasoning == '{"steps": ["look it up", '


def test_a_plan_after_text() -> None:
    found = told(START, *part("0", "It is 42."), *part("1", *PLAN), FINISH)
    assert (found.text, found.reasoning) == ("It is 42.", PLAN)


def test_several_plans_are_passages_of_their_own() -> None:
    found = told(START, *part("0", PLAN), *part("0", PLAN), *part("0", "Done."), FINISH)
    assert (found.text, found.reasoning) == ("Done.", f"{PLAN}\n\n{PLAN}")


def test_text_that_follows_a_plan_in_its_part() -> None:
    found = told(START, *part("0", *f"{PLAN}\n\nIt is 42."), FINISH)
    assert (found.text, found.reasoning) == ("It is 42.", PLAN)


@pytest.mark.parametrize("end", [[FINISH], [], [{"type": "end_node", "final_output": PLAN}]])
def test_a_plan_that_is_all_there_is_answers(end: list[Any]) -> None:
    """It is what an output type with steps looks like."""
    frames = data_frames([START, *part("0", *PLAN), *end]) + b"data: [DONE]\n\n"
    assert fold(decoded(Decoder(), frames)).text == PLAN


@pytest.mark.parametrize(
    "text",
    [
        '{"price": 875.4}',
        '{"steps": 8000, "day": "Monday"}',
        '{"steps": null}',
        '{"recipe": {"steps": ["boil"]}}',
        '{"a": "steps", "b": []}',
        '{"answer": "\\"steps\\": ["}',
        '["steps"]',
        "{}",
        "{name} has taken steps: [1]",
        '{"half": "of',
        '{"plan": {"a": {"steps": ["boil"]}}}',
        '{"plan": {"a": 1}, "b": {"steps": ["boil"]}}',
        '{"plan": [{"steps": ["boil"]}]}',
        " ",
        "The steps: {",
    ],
    ids=lambda text: text[:30],
)
@pytest.mark.parametrize("size", [1, 5000])
def test_other_json_is_the_answer(text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    for payloads in ([START, *part("0", *pieces), FINISH], [*page(*pieces), {"type": "end_node"}]):
        found = told(*payloads)
        assert (found.text, found.reasoning) == (text, "")
    assert split_plan(text) == [(False, text)]


@pytest.mark.parametrize(
    "plan",
    [
        '{"plan": {"steps": ["boil"]}}',
        '{"type": "x", "executionPlan": {"goal": {"a": []}, "steps": {"1": "boil"}}, "b": 1}',
        '{"data": {"plan": {"steps": [{"a": {}}]}}, "more": {"steps": "}"}}',
        '{"plan": {}, "a": {"b": 1}, "steps": ["boil"]}',
        json.dumps({"goal": "long " * 700, "steps": ["boil"]}),
        json.dumps({"plan": {"goal": "long " * 700, "steps": ["boil"]}}),
    ],
    ids=lambda text: text[:30],
)
@pytest.mark.parametrize("size", [1, 50_000])
def test_a_plan_may_be_nested_and_begin_late(plan: str, size: int) -> None:
    pieces = [plan[at : at + size] for at in range(0, len(plan), size)]
    found = told(START, *part("0", *pieces), *part("1", "It is 42."), FINISH)
    assert (found.text, found.reasoning) == ("It is 42.", plan)
    assert split_plan(f"{plan}It is 42.") == [(True, plan), (False, "It is 42.")]
    late = json.dumps({"goal": "x" * 100_000, "steps": []})
    assert split_plan(late) == [(True, late)]


def test_text_without_a_brace_is_not_held_back() -> None:
    events = [decode(START, *part("0", *"It")[: 2 + n]) for n in range(2)]
    assert [e for e in events[1] if isinstance(e, TextDelta)] == [
        TextDelta("I", "0"),
        TextDelta("t", "0"),
    ]


def test_a_long_object_streams() -> None:
    """What is no plan after so many characters is shown, though the object goes on."""
    found = fold(decode(START, *part("0", '{"text": "' + "x" * 17_000)[:-1]))
    assert len(found.text) > 17_000


@pytest.mark.parametrize(
    "payloads",
    [
        [START, *part("0", "Sub.", **SUB), *part("1", "Main."), FINISH],
        [START, *part("0", "Sub.", providerMetadata=SUB["messageMetadata"]), *part("1", "Main.")],
        [START, {"type": "start", **SUB}, *part("0", "Sub."), FINISH, *part("0", "Main."), FINISH],
        [START, {"type": "start", **SUB}, *part("0", "Sub."), START, *part("0", "Main."), FINISH],
        [
            {"type": "start", **TOP},
            {"type": "message-metadata", **SUB},
            *part("0", "Sub."),
            {"type": "message-metadata", **TOP},
            *part("1", "Main."),
            FINISH,
        ],
        [
            {"type": "text-delta", "id": "0", "delta": "Ma"},
            {"type": "text-delta", "id": "0", "delta": "Sub", **SUB},
            {"type": "text-delta", "id": "0", "delta": "in"},
            {"type": "text-delta", "id": "0", "delta": ".", **SUB},
            {"type": "text-delta", "id": "0", "delta": "."},
        ],
        [
            {"type": "text-start", "id": "1"},
            {"type": "text-start", "id": "2", **SUB},
            {"type": "text-delta", "id": "1", "delta": "Ma"},
            {"type": "text-delta", "id": "2", "delta": "Sub"},
            {"type": "text-delta", "id": "1", "delta": "in."},
            {"type": "text-delta", "id": "2", "delta": "."},
        ],
        [
            {"type": "text_delta", "text": "Sub.", "meta_data": {"parent_agent_id": "a1"}},
            {"type": "end_node", "final_output": "Sub.", "meta_data": {"parent_agent_id": "a1"}},
            {"type": "text_delta", "text": "Main.", "meta_data": {"agent_id": "a1"}},
            {"type": "end_node", "final_output": "Main.", "meta_data": {"agent_id": "a1"}},
        ],
    ],
)
def test_the_text_of_a_sub_agent_is_reasoning(payloads: list[Any]) -> None:
    frames = data_frames(payloads) + b"data: [DONE]\n\n"
    events = decoded(Decoder(), frames)
    found = fold(events)
    assert (found.text, found.reasoning, found.status) == ("Main.", "Sub.", "completed")
    assert fold(Decoder().decode_all(frames_of(frames))).text == "Main."


def test_the_plan_of_a_sub_agent_is_reasoning() -> None:
    found = told(START, *part("0", PLAN, **SUB), *part("1", "Main."), FINISH)
    assert (found.text, found.reasoning) == ("Main.", PLAN)


def test_the_end_of_a_run_that_looks_like_that_of_a_sub_agent() -> None:
    usage = {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}
    payloads = [{"type": "start", **SUB}, *part("0", "Main.", **TOP), {**FINISH, **usage}]
    found = fold(decoded(Decoder(), data_frames(payloads) + b"data: [DONE]\n\n"))
    assert (found.text, found.status) == ("Main.", "completed")
    assert found.usage is not None
    assert found.usage.total_tokens == 3


@pytest.mark.parametrize("end", [FINISH, {"type": "end_node", "final_output": "I cannot say."}])
def test_a_guardrail_answers(end: dict[str, Any]) -> None:
    said = {"type": "output_guardrail", "text": "I cannot say.", "guardrail": [{"name": "pii"}]}
    assert told(said, end).text == "I cannot say."
    assert told({"type": "streaming_chunk", "data": said}, end).text == "I cannot say."


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"type": "output_guardrail", "text": "No."}, "No."),
        (
            [{"type": "output_text", "text": "I "}, {"type": "output_guardrail", "text": "won't"}],
            "I won't",
        ),
        ({"type": "bond", "text": "A"}, '{"type": "bond", "text": "A"}'),
        ([{"type": "text", "text": 7}], '[{"type": "text", "text": 7}]'),
        ([1, 2], "[1, 2]"),
    ],
    ids=str,
)
def test_the_answer_that_the_end_repeats(output: Any, text: str) -> None:
    assert told({"type": "end_node", "final_output": output}).text == text


FENCED = f"```json\n{PLAN}\n```\n"
JSON_ANSWER = '```json\n{"price": 1}\n```\n'


@pytest.mark.parametrize(
    ("plans", "answer"),
    [
        (FENCED, "It is 12."),
        (f"~~~\n{PLAN}\n~~~\n", "It is 12."),
        (f"````json \n\n{PLAN}\n````\n", "# It is 12."),
        (FENCED, JSON_ANSWER),
        (FENCED + FENCED, "It is 12."),
        (PLAN + PLAN, "It is 12."),
        (f"\ufeff{PLAN}", "It is 12."),
        (FENCED, ""),
        ("", JSON_ANSWER),
        ("", "```json\nnot an object\n```"),
        ("", "`code` is `x`"),
        ("", "``` inline ``` fence"),
        ("", "~~gone~~"),
        ("", "```"),
    ],
)
def test_plans_in_fences_and_several_plans(plans: str, answer: str) -> None:
    text = plans + answer
    for size in (1, 2, 3, 7, 1000):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        splitter = PlanSplitter()
        pairs = [pair for piece in pieces for pair in splitter.feed(piece)] + splitter.finish()
        assert "".join(t for is_plan, t in pairs if is_plan) == plans
        assert "".join(t for is_plan, t in pairs if not is_plan) == answer

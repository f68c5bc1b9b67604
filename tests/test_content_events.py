"""Steps, media, sources, state, refusals and custom events: from the event to the store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import agentnb
from agentnb import history
from agentnb.event import (
    CitationAdded,
    CustomEvent,
    Event,
    MediaProduced,
    RawEvent,
    RefusalDelta,
    RunFinished,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
    TextDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
    event_from_dict,
    event_to_dict,
)
from agentnb.event.serialization import decode, encode
from agentnb.event.state import apply_patch
from agentnb.event.transcript import Passage, Step, Transcript, fold
from agentnb.platforms._replay_filter import ReplayFilter
from agentnb.redaction.events import StreamMask
from agentnb.redaction.secrets import remember_secret
from agentnb.store.stored_run import read_export
from tests.render.samples import view_of

DOT = "data:image/png;base64,iVBORw0KGgo="
EVENTS: list[Event] = [
    StepStarted(step_id="s", name="Plan"),
    RefusalDelta("No."),
    CitationAdded(url="https://example.com", title="Tea", quote="Black tea."),
    MediaProduced(url=DOT, name="dot.png"),
    StateSnapshot(state={"cups": [1]}),
    StateDelta(patch=({"op": "add", "path": "/cups/-", "value": 2},)),
    CustomEvent(name="progress", value={"done": 0.5}),
    UsageReported(usage=Usage(input_tokens=3), scope="step"),
    StepFinished(step_id="s", error="no water"),
]


def rows(transcript: Transcript) -> list[tuple[str, int]]:
    """Return the steps and passages in order, each with its depth."""
    return [
        (part.name if isinstance(part, Step) else str(part.text), part.depth)
        for part in transcript.parts
        if isinstance(part, Step | Passage)
    ]


@pytest.mark.parametrize("event", [*EVENTS, StepStarted(), StateSnapshot(state=None)])
def test_json_form(event: Event) -> None:
    assert event_from_dict(event_to_dict(event)) == event
    assert decode(encode([event], [0.5])) == ([event], [0.5])


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (StateDelta, {"patch": {"op": "add"}}),
        (StateDelta, {"patch": ["add"]}),
        (StateSnapshot, {"state": object()}),
        (CustomEvent, {"name": 1}),
        (MediaProduced, {"url": b"x"}),
        (StepFinished, {"step_id": 1.5}),
        (UsageReported, {"usage": {"input_tokens": 1}, "scope": "run"}),
    ],
)
def test_invalid_fields(kind: type[Any], fields: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"{kind.__name__}\.\w+ must be "):
        kind(**fields)


class TestSteps:
    def test_parts_belong_to_the_innermost_open_step(self) -> None:
        transcript = fold(
            [
                TextDelta("before"),
                StepStarted(step_id="a", name="A"),
                TextDelta("in a"),
                StepStarted(step_id="b", name="B"),
                TextDelta("in b"),
                StepFinished(step_id="b"),
                TextDelta("in a again"),
                StepFinished(step_id="a"),
                TextDelta("after"),
            ]
        )
        assert rows(transcript) == [
            ("before", 0),
            ("A", 0),
            ("in a", 1),
            ("B", 1),
            ("in b", 2),
            ("in a again", 1),
            ("after", 0),
        ]

    def test_a_repeated_start_continues_a_step_and_none_leaves_all(self) -> None:
        transcript = fold(
            [
                StepStarted(step_id="a", name="A"),
                StepStarted(),
                StepStarted(step_id="b", name="B"),
                TextDelta("in b"),
                StepStarted(step_id="a"),
                TextDelta("in a"),
                StepStarted(),
                TextDelta("in none"),
            ]
        )
        assert rows(transcript)[2:] == [("in b", 1), ("A", 0), ("in a", 1), ("in none", 0)]
        assert [step.name for step in transcript.steps] == ["A", "B"]

    def test_steps_that_alternate_are_listed_again_with_those_around_them(self) -> None:
        transcript = fold(
            [
                StepStarted(step_id="a", name="A"),
                StepStarted(step_id="b", name="B"),
                TextDelta("one ", "1"),
                StepStarted(step_id="c", name="C", parent_id="a"),
                TextDelta("two", "2"),
                StepStarted(step_id="b"),
                # It belongs to a passage that is listed: no step goes on.
                TextDelta("one", "1"),
                TextDelta("three", "3"),
                StepStarted(),
                TextDelta("four", "4"),
                StepStarted(step_id="b"),
                ToolCallStarted(call_id="t", name="tool"),
            ]
        )
        assert rows(transcript) == [
            *[("A", 0), ("B", 1), ("one one", 2), ("C", 1), ("two", 2)],
            *[("B", 1), ("three", 2), ("four", 0), ("A", 0), ("B", 1)],
        ]
        (call,) = transcript.tool_calls
        assert (transcript.parts[-1], call.depth) == (call, 2)

    def test_an_outer_end_ends_no_inner_step(self) -> None:
        transcript = fold(
            [
                StepStarted(step_id="a"),
                StepStarted(step_id="b", parent_id="a"),
                StepFinished(step_id="a"),
                TextDelta("in b"),
                StepFinished(step_id="b"),
                StepFinished(step_id="unknown"),
                TextDelta("after"),
                ToolCallStarted(call_id="c", name="t"),
            ]
        )
        assert rows(transcript)[2:] == [("in b", 2), ("after", 0)]
        assert transcript.tool_calls[0].depth == 0

    def test_those_left_open_are_abandoned(self) -> None:
        transcript = fold([StepStarted(step_id="a"), RunFinished()])
        assert [step.status for step in transcript.steps] == ["abandoned"]

    def test_ids_are_no_parts(self) -> None:
        steps = [StepStarted(step_id=str(number)) for number in range(50)]
        assert max(step.depth for step in fold(steps).steps) == 8


class TestState:
    def test_a_change_that_does_not_fit_is_reported(self) -> None:
        wrong = StateDelta(
            patch=(
                {"op": "add", "path": "/b", "value": 1},
                {"op": "remove", "path": "/missing"},
            )
        )
        transcript = fold([StateSnapshot(state={"a": 1}), wrong])
        assert transcript.state == {"a": 1}
        (raw,) = transcript.raw_events
        assert isinstance(raw, RawEvent)
        assert raw.problem is not None
        assert "does not fit" in raw.problem

    @pytest.mark.parametrize(
        "operation",
        [
            {},
            {"op": "fly", "path": "/a"},
            {"op": "add"},
            {"op": "add", "path": 3, "value": 1},
            {"op": "add", "path": "a", "value": 1},
            {"op": "add", "path": "/list/9", "value": 1},
            {"op": "add", "path": "/list/x", "value": 1},
            {"op": "add", "path": "/a/b", "value": 1},
            {"op": "move", "from": "/list", "path": "/list/0"},
            {"op": "copy", "from": None, "path": "/a"},
            {"op": "test", "path": "/a", "value": 2},
        ],
    )
    def test_invalid_operations(self, operation: dict[str, Any]) -> None:
        state = {"a": 1, "list": [1]}
        with pytest.raises(ValueError, match="state"):
            apply_patch(state, [operation])
        assert state == {"a": 1, "list": [1]}

    def test_neither_state_nor_patch_changes(self) -> None:
        state: dict[str, Any] = {"a": {}}
        patch: list[dict[str, Any]] = [
            {"op": "add", "path": "/b", "value": {"c": []}},
            {"op": "add", "path": "/b/c/-", "value": 1},
        ]
        assert apply_patch(state, patch) == {"a": {}, "b": {"c": [1]}}
        assert state == {"a": {}}
        assert patch[0]["value"] == {"c": []}

    def test_copies_cannot_exhaust_the_memory(self) -> None:
        double = [{"op": "copy", "from": "", "path": f"/x{number}"} for number in range(40)]
        with pytest.raises(ValueError, match="10 MB"):
            apply_patch({"a": "x" * 1000}, double)


def test_usage_of_steps_is_added_and_a_total_replaces_it() -> None:
    step = UsageReported(usage=Usage(input_tokens=3, cost_usd=0.5), scope="step")
    transcript = fold([step, step, UsageReported(usage=Usage(output_tokens=1), scope="step")])
    assert transcript.usage == Usage(input_tokens=6, output_tokens=1, cost_usd=1.0)
    transcript.apply(UsageReported(usage=Usage(input_tokens=7)))
    assert transcript.usage == Usage(input_tokens=7, output_tokens=1, cost_usd=1.0)


def test_a_source_is_listed_once() -> None:
    source = CitationAdded(url="https://example.com")
    assert fold([source, CitationAdded(title="Tea"), source]).citations == [
        source,
        CitationAdded(title="Tea"),
    ]


def test_a_refusal_is_no_answer() -> None:
    transcript = fold([RefusalDelta("No, "), RefusalDelta("thanks."), RunFinished(output="No.")])
    assert (transcript.refusal, transcript.text) == ("No, thanks.", "")


def test_media(tmp_path: Path) -> None:
    dot = MediaProduced(url=DOT)
    assert dot.mime_type == "image/png"
    assert dot.save(tmp_path / "dot.png").read_bytes() == b"\x89PNG\r\n\x1a\n"
    assert MediaProduced(url="data:,a%20b").content == b"a b"
    for url in ("https://example.com/a.png", "data:image/png;base64,?"):
        with pytest.raises(ValueError, match="no content"):
            MediaProduced(url=url).save(tmp_path / "x")


def test_secrets_are_masked() -> None:
    secret = "sk-content-0123456789abcdef"
    remember_secret(secret)
    events: list[Event] = [
        StateSnapshot(state={"deep": [{"key": secret}]}),
        StateSnapshot(state=[secret]),
        StateDelta(patch=({"op": "add", "path": "/a", "value": {"k": [secret]}},)),
        CustomEvent(name="n", value=f"x {secret}"),
        CitationAdded(url=f"https://example.com/?key={secret}", title=secret, quote=secret),
        MediaProduced(url=f"https://example.com/{secret}.png", name=secret),
        StepStarted(step_id="s", name=secret),
        StepFinished(step_id="s", error=f"refused {secret}"),
        RefusalDelta(f"not {secret}"),
    ]
    mask = StreamMask()
    clean = [*mask.feed(events), *mask.flush()]
    assert [type(event) for event in clean] == [type(event) for event in events]
    assert secret not in repr(clean)
    halves = [RefusalDelta(secret[:12]), RefusalDelta(secret[12:])]
    assert secret not in "".join(
        e.text for e in [*mask.feed(halves), *mask.flush()] if isinstance(e, RefusalDelta)
    )


def test_a_repeated_stream_adds_nothing() -> None:
    repeats = ReplayFilter(EVENTS)
    more = CustomEvent(name="progress", value={"done": 1})
    assert repeats.feed([*EVENTS, more]) == [more]


def test_the_store_and_an_export_have_it_all(tmp_path: Path) -> None:
    @agentnb.agent
    def maker(prompt: str) -> Any:
        yield from EVENTS

    run = maker.run("tea?")
    loaded = history.load(run.id)
    exported = read_export(run.export(tmp_path / "run.json"))
    for found in (run, loaded, exported):
        assert found.state == {"cups": [1, 2]}
        assert found.refusal == "No."
        assert [step.error for step in found.steps] == ["no water"]
        assert [media.name for media in found.media] == ["dot.png"]
        assert [citation.title for citation in found.citations] == ["Tea"]
        assert [event.value for event in found.custom_events] == [{"done": 0.5}]
    table = agentnb.runs()
    (row,) = table[table["run_id"] == run.id].to_dict("records")
    assert (row["refusal"], row["state"]) == ("No.", '{"cups": [1, 2]}')
    events = agentnb.events()
    kinds = list(events[events["run_id"] == run.id]["type"])
    assert [event.type for event in EVENTS if event.type not in kinds] == []


class TestRendering:
    def test_only_bitmaps_with_their_content_are_displayed(self) -> None:
        from agentnb.render import to_html

        large = DOT[:-1] + "A" * 500_000
        page = to_html(
            view_of(
                [
                    MediaProduced(url=DOT, name="dot.png"),
                    MediaProduced(url="https://example.com/a.png", mime_type="image/png"),
                    MediaProduced(url="data:image/svg+xml;base64,AAAA", name="x.svg"),
                    MediaProduced(url="javascript:alert(1)", name="j"),
                    MediaProduced(url=large, name="large.png"),
                    RunFinished(),
                ]
            )
        )
        assert page.count("<img") == 1
        assert f'src="{DOT}"' in page
        assert 'href="https://example.com/a.png"' in page
        assert "javascript:" not in page
        assert "run.media[2].save(path)" in page
        assert "run.media[4].save(path)" in page

    def test_text_of_a_step_that_goes_on_is_within_it(self) -> None:
        from agentnb.render import to_html

        first, second = (StepStarted(step_id=name, name=name) for name in ("one", "two"))
        events = [
            first,
            StepStarted(),
            second,
            TextDelta("of second"),
            first,
            TextDelta("of first"),
        ]
        page = re.sub("<[^>]*>", "", to_html(view_of([*events, RunFinished()])))
        found = re.findall("one|two|of first|of second", page)
        assert found[:5] == ["one", "two", "of second", "one", "of first"]

    def test_sources(self) -> None:
        from agentnb.render import to_html, to_markdown, to_text

        view = view_of(
            [
                CitationAdded(url="https://example.com/a", title="<script>x</script>"),
                CitationAdded(url="javascript:alert(1)", title="[x](https://evil.example)"),
                RunFinished(),
            ]
        )
        page = to_html(view)
        assert 'href="https://example.com/a"' in page
        assert "<script>" not in page
        assert "javascript:" not in page
        assert "javascript:" not in to_markdown(view)
        assert r"\[x\](https://evil.example)" in to_markdown(view)
        assert "[1] <script>x</script> https://example.com/a" in to_text(view)

"""Events and their JSON form."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any, get_args

import pytest
from hypothesis import given

from agentnb.event.types import (
    TERMINAL_EVENTS,
    Event,
    FollowupsSuggested,
    RawEvent,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    Usage,
    UsageReported,
    event_from_dict,
    event_to_dict,
)
from tests.strategies import events

CLASSES: tuple[type[Any], ...] = get_args(Event)
# Fields that hold something else than text.
EXAMPLES: dict[str, Any] = {
    "usage": Usage(),
    "duration": 1.0,
    "retry_after": 1.0,
    "details": {},
    "status": "failed",
    "scope": "step",
    "patch": (),
}


@given(events)
def test_event_survives_its_json_form(event: Event) -> None:
    assert event_from_dict(event_to_dict(event)) == event


@given(events)
def test_event_survives_json_text(event: Event) -> None:
    assert event_from_dict(json.loads(json.dumps(event_to_dict(event)))) == event


@given(events)
def test_json_form_names_the_type_and_holds_no_none(event: Event) -> None:
    data = event_to_dict(event)
    assert data["type"] == event.type
    assert None not in data.values()


def test_every_type_has_a_name_of_its_own() -> None:
    assert len({cls.type for cls in CLASSES}) == len(CLASSES) == 21


def test_terminal_events_are_events() -> None:
    assert set(TERMINAL_EVENTS) < set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_events_are_immutable_and_carry_no_dict(cls: type[Any]) -> None:
    event = cls(**{f.name: EXAMPLES.get(f.name, "") for f in fields(cls)})
    with pytest.raises(FrozenInstanceError):
        setattr(event, fields(cls)[0].name, "changed")
    assert not hasattr(event, "__dict__")


def test_fields_of_a_newer_version_are_dropped() -> None:
    data = {"type": "text_delta", "text": "hi", "annotations": [1]}
    assert event_from_dict(data) == TextDelta("hi")


def test_usage_fields_of_a_newer_version_are_dropped() -> None:
    data = {"type": "usage_reported", "usage": {"input_tokens": 3, "audio_tokens": 4}}
    assert event_from_dict(data) == UsageReported(usage=Usage(input_tokens=3))


def test_type_of_a_newer_version_is_kept_raw() -> None:
    event = event_from_dict({"type": "video_delta", "url": "x"})
    assert isinstance(event, RawEvent)
    assert event.name == "video_delta"
    assert "'url': 'x'" in event.data


def test_json_form_without_a_type_is_refused() -> None:
    with pytest.raises(KeyError):
        event_from_dict({"text": "hi"})


@pytest.mark.parametrize(
    "kind", ["text_delta", "usage_reported", "followups_suggested", "run_failed"]
)
def test_json_form_without_a_required_field_is_refused(kind: str) -> None:
    with pytest.raises(TypeError):
        event_from_dict({"type": kind})


def test_json_form_is_independent_of_the_event() -> None:
    event = FollowupsSuggested(followups=("a",))
    event_to_dict(event)["followups"].append("b")
    assert event.followups == ("a",)


def test_empty_text_is_not_the_same_as_none() -> None:
    event = ToolCallFinished(call_id="c", result="", error="")
    assert event_from_dict(event_to_dict(event)) == event
    assert event_to_dict(event)["error"] == ""


@pytest.mark.parametrize(
    ("event", "form"),
    [
        pytest.param(RunStarted(run_id="r"), {"type": "run_started", "run_id": "r"}, id="started"),
        pytest.param(
            UsageReported(usage=Usage(input_tokens=0, cost_usd=0.5), model="m"),
            {
                "type": "usage_reported",
                "usage": {"input_tokens": 0, "cost_usd": 0.5},
                "model": "m",
            },
            id="usage",
        ),
        pytest.param(
            RunFailed(message="no", code="x"),
            {
                "type": "run_failed",
                "message": "no",
                "status": "failed",
                "code": "x",
                "details": {},
            },
            id="failed",
        ),
        pytest.param(RunFinished(), {"type": "run_finished", "details": {}}, id="finished"),
    ],
)
def test_json_form(event: Event, form: dict[str, Any]) -> None:
    assert event_to_dict(event) == form


class TestUsage:
    def test_later_figures_replace_earlier_ones(self) -> None:
        earlier = Usage(input_tokens=10, output_tokens=1)
        assert earlier.merged(Usage(output_tokens=5)) == Usage(input_tokens=10, output_tokens=5)

    def test_zero_is_a_figure(self) -> None:
        assert Usage(cost_usd=1.0).merged(Usage(cost_usd=0.0)).cost_usd == 0.0

    def test_nothing_new_changes_nothing(self) -> None:
        usage = Usage(total_tokens=7, reasoning_tokens=2)
        assert usage.merged(Usage()) == usage

"""The activities of AG-UI, which are custom events here."""

from __future__ import annotations

from typing import Any

from agentnb.event import CustomEvent, RawEvent
from tests.platforms.agui.test_decode import Frame, decoded, frame


def test_an_activity_is_whole_after_each_change() -> None:
    def activity(name: str, message: str = "m", **fields: Any) -> Frame:
        return frame(f"ACTIVITY_{name}", messageId=message, activityType="plan", **fields)

    add = [{"op": "add", "path": "/steps/-", "value": "pour"}]
    misfit = [{"op": "replace", "path": "/none", "value": 1}]
    first, second, unknown, bad, kept = decoded(
        activity("SNAPSHOT", content={"steps": ["boil"]}),
        activity("SNAPSHOT", content={"steps": []}, replace=False),
        activity("DELTA", patch=add),
        activity("DELTA", "other", patch=add),
        activity("DELTA", patch=misfit),
        activity("DELTA", patch=[{"op": "remove", "path": "/steps/0"}]),
    )
    assert first == CustomEvent(name="plan", value={"steps": ["boil"]})
    assert second == CustomEvent(name="plan", value={"steps": ["boil", "pour"]})
    assert isinstance(unknown, RawEvent)
    assert unknown.problem is None
    assert isinstance(bad, RawEvent)
    assert "does not fit" in (bad.problem or "")
    assert kept == CustomEvent(name="plan", value={"steps": ["pour"]})

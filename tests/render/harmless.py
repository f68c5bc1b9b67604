"""What markup of a run may hold."""

from __future__ import annotations

import re
from typing import Any

from agentnb.event.types import (
    ApprovalRequested,
    FollowupsSuggested,
    ReasoningDelta,
    RunFailed,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.render import RunView
from agentnb.render.markup import WRAPPER_CLASS, is_style
from tests.render.samples import (
    read,
    view_of,
)

TAGS = {
    *("a", "blockquote", "br", "code", "details", "div", "em", "h3", "h4", "h5", "h6", "hr"),
    *("li", "ol", "p", "pre", "s", "small", "span", "strong", "summary"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}


VALUES: dict[str, Any] = {
    "class": {WRAPPER_CLASS}.__contains__,
    "style": is_style,
    "dir": {"auto", "ltr"}.__contains__,
    "target": {"_blank"}.__contains__,
    "rel": {"noopener noreferrer nofollow"}.__contains__,
    "scope": {"col", "row"}.__contains__,
    "start": str.isdigit,
    "href": re.compile(r"(?i)(https?://|mailto:)").match,
}


# What acts on the reading without being seen.  Joiners and selectors may be part of a spelling.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def check_harmless(markup: str) -> None:
    assert not UNSEEN.search(markup)
    made = read(markup)
    assert made.balanced
    assert not made.open
    assert made.others == []
    for tag, attributes in made.elements:
        assert tag in TAGS
        for name, value in attributes.items():
            assert VALUES[name](value), (name, value)
    assert sum("class" in attributes for _, attributes in made.elements) == 1


def everywhere(text: str) -> RunView:
    """Return a run that says the same in every place where something from outside is shown."""
    return view_of(
        [
            RunStarted(run_id=text, session_id=text, agent=text, model=text),
            ReasoningDelta(text),
            ToolCallStarted(call_id=text, name=text, arguments=text),
            ToolCallFinished(call_id=text, result=text),
            ToolCallStarted(call_id="2", name="x"),
            ToolCallFinished(call_id="2", error=text),
            TextDelta(text),
            ApprovalRequested(message=text, tool=text),
            FollowupsSuggested(followups=(text,)),
            RunFailed(message=text, code=text),
        ],
        title=text,
        platform=text,
        prompt=text,
        notice=text,
    )

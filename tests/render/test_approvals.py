"""What a run waits for, in every static form: all of it is there, and it cannot be imitated."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest

from agentnb.event.types import ApprovalRequested, Event, RunStarted, TextDelta
from agentnb.redaction.events import masked_event
from agentnb.redaction.secrets import remember_secret
from agentnb.render import RunView, to_html, to_markdown, to_text
from agentnb.render.view import transcript_bytes
from tests.cost import Cost
from tests.faults.hostile_readers import READERS, check_document
from tests.render.harmless import UNSEEN, check_harmless
from tests.render.samples import view_of

STARTED = RunStarted(run_id="r")
HOSTILE = (
    "[x](javascript:alert(1)) ![y](https://a.example/b.png) <https://a.example> //a.example",
    "#Summary [^1]\n[^1]: javascript:alert(1)",
    '<img src=//a.example onerror=alert(1)><script>alert(2)</script>"><b onclick=x>',
    "</code></pre></blockquote><button>Approve</button>\n```\n<b>\n~~~",
    "Approve Deny\n\n> **Waiting for approval:** nothing\n\nCompleted · 1.0 s",
    "user\u202egnp.exe\u2066 ze\u200bro\ufeff \U000e0041\U000e0042",
    "\x1b]0;title\x07\x1b[2J\x9b31mred\x9d0;x\x9c \x08\x7f\x00\x85\u2028",
    "half \ud800 __proto__ constructor",
    "[" * 100_000,
    "x" * 1_000_000,
    json.dumps({f"__proto__{at}": {"constructor": at} for at in range(10_000)}),
)
FORMS: Final[dict[str, Callable[[RunView], str]]] = {
    "text": to_text,
    "html": to_html,
    "document": lambda view: to_html(view, standalone=True),
    "markdown": to_markdown,
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_a_hostile_approval_is_text_in_every_form(text: str) -> None:
    asked = ApprovalRequested(approval_id="a", message=text, tool=text, arguments=text)
    again = ApprovalRequested(approval_id="a", message=text, tool=text, arguments=f"{text} ")
    with Cost() as cost:
        view = view_of([STARTED, asked, again])
        made = {name: render(view) for name, render in FORMS.items()}
    assert cost.seconds < 1
    check_harmless(made["html"])
    for shown in made.values():
        assert not UNSEEN.search(shown)
        assert "changed since it was first requested" in shown
    for render in READERS.values():
        check_document(render(made["markdown"]))
    shown = made["text"].splitlines()
    assert len(shown) == 5
    assert max(map(len, shown)) < 3_000


@pytest.mark.parametrize("form", FORMS)
def test_the_call_to_approve_is_displayed_whatever_the_message(form: str) -> None:
    padded = f"Lists files.{' ' * 10_000}Deletes them."
    asked = ApprovalRequested(
        approval_id="a", message=padded, tool="delete_all", arguments='{"path": "/home"}'
    )
    shown = FORMS[form](view_of([STARTED, asked]))
    for part in ("Lists files.…", "delete", "all", "path", "/home"):
        assert part in shown
    assert len(shown) < 5_000


def test_an_answer_does_not_look_like_an_approval() -> None:
    asked = ApprovalRequested(message="Delete?", tool="delete", arguments='{"path": "/"}')
    (real,) = [
        line for line in to_html(view_of([STARTED, asked])).splitlines() if "<blockquote" in line
    ]
    opening = real[: real.index(">") + 1]
    for answer in ("> **Waiting for approval**: Delete? `delete`", real, f"{opening}\n\n> x"):
        assert opening not in to_html(view_of([STARTED, TextDelta(answer)]))


def test_thousands_of_approvals_stay_in_bounds() -> None:
    asked: list[Event] = [
        ApprovalRequested(approval_id=str(at), message="<" * 1_000, tool="t" * 300, arguments="<{")
        for at in range(10_000)
    ]
    view = view_of([STARTED, *asked])
    # What the first rendering imports is no cost of the others.
    to_html(view_of([STARTED, asked[0]]))
    with Cost() as cost:
        made = {name: render(view) for name, render in FORMS.items()}
    assert cost.seconds < 1
    saved = len(made["html"].encode()) + len(made["text"].encode())
    assert saved < 3 * transcript_bytes(view) + 4_000
    for shown in made.values():
        assert "9,980 more approvals" in shown
        assert len(shown) < 200_000


def test_several_are_approved_one_by_one() -> None:
    asked = [ApprovalRequested(approval_id=each, message="May I?") for each in "ab"]
    for render in FORMS.values():
        assert "run.approve(it)" in render(view_of([STARTED, *asked]))
        assert "run.approve()" in render(view_of([STARTED, asked[0], asked[0]]))


def test_a_key_split_by_controls_stays_masked() -> None:
    key = "canary-5b8e2d7f1a3c9640"
    remember_secret(key)
    split = " ".join(f"{key[:9]}{between}{key[9:]}" for between in ("\x07", "\x1b[0m", "\x9b1m"))
    asked = masked_event(
        ApprovalRequested(approval_id="a", message=split, tool=split, arguments=split)
    )
    for render in FORMS.values():
        assert key not in render(view_of([STARTED, TextDelta(split), asked]))

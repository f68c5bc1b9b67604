"""A run as text on standard output."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

import agentnb
from agentnb import show
from agentnb.event.types import Event, ReasoningDelta, TextDelta, ToolCallFinished, ToolCallStarted
from agentnb.notebook.tables import table
from tests.flaky import Flaky
from tests.played import player


def detailed(prompt: str) -> Iterator[Event]:
    yield ReasoningDelta("Let me look it up.")
    yield ToolCallStarted(call_id="1", name="price", arguments='{"ticker": "NVDA"}')
    yield ToolCallFinished(call_id="1", result="42")
    yield TextDelta("It is ")
    yield TextDelta("**42**.\n")


def test_reasoning_tools_answer_and_summary(capsys: pytest.CaptureFixture[str]) -> None:
    run = agentnb.agent(detailed).start("?")
    show(run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "… Let me look it up."
    assert lines[1:3] == ['→ price({"ticker": "NVDA"}) = 42', "It is **42**."]
    assert lines[-1].startswith("detailed · completed · ")
    assert run.status == "completed"


def test_a_failure_is_told_and_not_raised(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(prompt: str) -> Iterator[str]:
        yield "so far"
        raise ValueError("no more")

    run = agentnb.agent(broken).start("?")
    show(run)
    out = capsys.readouterr().out
    assert out.startswith("so far\n")
    assert "ValueError: no more" in out
    with pytest.raises(agentnb.RunError):
        run.raise_for_status()


def test_each_attempt_to_go_on_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run = player(Flaky(0.4, 0.4)).start("?")
    show(run)
    first, *lines, summary = capsys.readouterr().out.splitlines()
    assert first == "Half "
    assert lines == [
        "⟳ Reconnecting, 1 of 5, in 1 s: The connection broke off.",
        "⟳ Reconnecting, 2 of 5, in 1 s: The connection broke off.",
        "an answer.",
    ]
    assert summary.startswith("player · completed · ")


def test_no_control_sequence_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def hostile(prompt: str) -> Iterator[str]:
        yield from ("a\x1b", "]0;owned\x07b\x9b2J", "c\x1b[3", "1md\x00\r\n")

    show(agentnb.agent(hostile).start("?"))
    out = capsys.readouterr().out
    assert out.startswith("abcd\n")
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in out)


def test_tables_escape_and_shorten() -> None:
    shown = table([{"a": "<b>\x1b[31m", "c": "x" * 500}], ["a", "c"], notes=["& so on"])
    formatter: Any = DisplayFormatter()  # without types
    html, _ = formatter.format(shown)
    assert "&lt;b&gt;" in html["text/html"]
    assert "\x1b" not in repr(shown)
    assert len(shown.rows[0][1]) == 200
    assert repr(table([], ["a"], empty="Nothing here.")) == "Nothing here."

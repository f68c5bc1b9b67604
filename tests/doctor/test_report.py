"""What a terminal shows of a report."""

from __future__ import annotations

import pytest

from agentnb.doctor import Report, as_text
from agentnb.doctor.report import note, ok, problem

WORDS = "words and more words of what was found, which go over several lines of a terminal"
REPORT = Report(
    (
        problem("seekr: key", WORDS, f"Do this. {WORDS}"),
        note("clock", "apart"),
        ok("Python", "3.13.1"),
    ),
    1.25,
)


def test_columns_stand_under_each_other() -> None:
    lines = as_text(REPORT, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("problem  seekr: key  words and more")
    second = lines[0].index("words")
    assert all(line[:second].strip() == "" for line in lines[1:4])
    (hint,) = (line for line in lines if "→" in line)
    assert hint.index("→") == second
    assert lines[-4:] == [
        f"{'note':<{second - 12}}clock       apart",
        f"{'ok':<{second - 12}}Python      3.13.1",
        "",
        "1 problem, 1 note, 1 ok (1.2 s)",
    ]


@pytest.mark.parametrize("width", [34, 40, 60, 80, 200])
def test_nothing_is_wider_than_the_terminal_or_lost(width: int) -> None:
    text = as_text(REPORT, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert text.split().count("terminal") == 2


def test_without_a_width_nothing_is_broken() -> None:
    assert WORDS in as_text(REPORT, width=None)


def test_a_path_is_not_broken() -> None:
    path = "/somewhere/" + "deep/" * 20 + "history.sqlite"
    assert path in as_text(Report((ok("history is in", path),), 0), width=60)


def test_colours_are_of_the_level_alone() -> None:
    plain = as_text(REPORT, width=80)
    assert "\x1b" not in plain
    coloured = as_text(REPORT, width=80, colour=True)
    assert coloured.count("\x1b[0m") == 3
    for code in ("\x1b[1;31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_what_acts_on_a_terminal_does_not_reach_it() -> None:
    text = as_text(Report((problem("a", "\x1b[2Jgone\x07\r\nover", "\x9b31mred"),), 0))
    assert not set(text) & set("\x1b\x07\r\x9b")
    assert "gone over" in text


def test_of_nothing_there_is_still_a_summary() -> None:
    assert as_text(Report((), 0.0)) == "no problems, no notes, 0 ok (0.0 s)"

"""Text without what acts unseen."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb._support.text import control_signs, strip_controls
from agentnb.render.visible import StreamCleaner, one_line, visible

ESCAPES = st.text(
    st.sampled_from("\x1b\x9b\x9d\x90\x9c\x07[]P^_\\;0m?a \n\r\t\x08\x00")
    | st.characters(codec=None),
    max_size=30,
)
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class TestControls:
    @given(ESCAPES)
    def test_no_control_character_stays(self, text: str) -> None:
        assert not CONTROLS.search(strip_controls(text))
        assert not CONTROLS.search(visible(text))

    @given(ESCAPES)
    def test_stripping_twice_changes_nothing(self, text: str) -> None:
        assert strip_controls(strip_controls(text)) == strip_controls(text)

    @given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
    def test_text_without_controls_stays(self, text: str) -> None:
        assert strip_controls(text) == text

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            pytest.param("\x1b[1;31mred\x1b[0m", "red", id="colour"),
            pytest.param("\x9b2Jgone", "gone", id="one-byte sequence"),
            pytest.param("\x1b]8;;https://a.example\x1b\\click\x1b]8;;\x1b\\", "click", id="link"),
            pytest.param("\x1b]52;c;cm0gLXJm\x07x", "x", id="clipboard"),
            pytest.param("\x9d0;title\x9cx", "x", id="title, one byte"),
            pytest.param("\x1bPq#0\x1b\\x", "x", id="device control"),
            pytest.param("\x1b]never ends", "]never ends", id="sequence without an end"),
            pytest.param("\x1b(0x\x1bcx", "xx", id="character sets and reset"),
            pytest.param("real command\rharmless", "real command\nharmless", id="overwriting"),
            pytest.param("a\r\nb\x85c\u2028d", "a\nb\nc\nd", id="line ends"),
            pytest.param("rm -rf /\x08\x08ls\x7f", "rm -rf /ls", id="backspace"),
            pytest.param("a\tb\nc", "a\tb\nc", id="tab and newline stay"),
            pytest.param("a\x00b", "ab", id="NUL"),
            pytest.param("\ud83d\ude80 \ud83d", "🚀 \ufffd", id="surrogates"),
        ],
    )
    def test_controls(self, text: str, shown: str) -> None:
        assert strip_controls(text) == shown

    @pytest.mark.parametrize("text", ["\x9d" * 200_000, "\x1b]" * 100_000, "\x1b[0" * 70_000])
    def test_time_is_linear(self, text: str) -> None:
        # With a square in it this would take minutes.
        assert "\x1b" not in strip_controls(text)


class TestVisible:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            pytest.param(
                "user\u202e\u2066== admin\u2069", "user⟨U+202E U+2066⟩== admin⟨U+2069⟩", id="bidi"
            ),
            pytest.param("report\u202efdp.exe", "report⟨U+202E⟩fdp.exe", id="file name"),
            pytest.param("java\u200bscript", "java⟨U+200B⟩script", id="zero width"),
            pytest.param("a\u200c\u200db", "a⟨U+200C U+200D⟩b", id="joiners between Latin"),
            pytest.param("a" + "\ufe0f" * 14, "a⟨U+FE0F ×14⟩", id="variation selectors"),
            pytest.param(
                "\u200b\u200c\u200d\u2060\ufeffb",
                "⟨U+200B U+200C U+200D U+2060 … 5 hidden characters⟩b",
                id="many kinds",
            ),
            pytest.param(
                "hi" + "".join(chr(0xE0000 + ord(c)) for c in "obey me"),
                "hi⟨hidden: obey me⟩",
                id="tags",
            ),
            pytest.param("\u3164\u115f", "⟨U+3164 U+115F⟩", id="fillers"),
            pytest.param("x\u200f", "x⟨U+200F⟩", id="mark without a script"),
        ],
    )
    def test_the_unseen_is_spelled_out(self, text: str, shown: str) -> None:
        assert visible(text) == shown

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("❤️ 1️⃣ #️⃣ ©️ ☺︎", id="presentation selectors"),
            pytest.param("👩‍👩‍👧 👩🏽‍🚀 🏳️‍🌈 ❤️‍🔥", id="joined emoji"),
            pytest.param(
                "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", id="England"
            ),
            pytest.param("می‌خواهم", id="Persian non-joiner"),
            pytest.param("क्‍ष", id="Devanagari joiner"),
            pytest.param("שלום\u200f!", id="mark in Hebrew"),
            pytest.param("葛\U000e0100", id="ideograph's variant"),
            pytest.param("Donau\u00addampf", id="soft hyphen in a word"),
            pytest.param("a\u00a0b é ⟨x⟩ “q”", id="nothing unseen"),
        ],
    )
    def test_what_scripts_need_stays(self, text: str) -> None:
        assert visible(text) == text

    def test_a_flag_cannot_smuggle_words(self) -> None:
        tags = "".join(chr(0xE0000 + ord(c)) for c in "rm")
        assert visible(f"🏴{tags}\U000e007f") == "🏴⟨U+E0072 U+E006D U+E007F⟩"

    def test_hidden_words_are_bounded(self) -> None:
        assert len(visible("a" + "\U000e0041" * 10_000)) < 300

    @given(st.text())
    def test_showing_twice_changes_nothing(self, text: str) -> None:
        assert visible(visible(text)) == visible(text)


class TestOneLine:
    def test_white_space_is_one_space(self) -> None:
        assert one_line("  a\n\n\tb \r\n c ") == "a b c"

    def test_long_text_is_cut(self) -> None:
        assert one_line("x" * 300, 10) == "xxxxxxxxx…"
        assert one_line("x" * 10, 10) == "x" * 10

    @given(ESCAPES, st.integers(1, 20))
    def test_it_is_one_line(self, text: str, limit: int) -> None:
        line = one_line(text, limit)
        assert len(line) <= limit
        assert len(line.splitlines()) <= 1


class TestStreamCleaner:
    @given(ESCAPES, st.data())
    def test_any_cut_gives_the_same(self, text: str, data: st.DataObject) -> None:
        cleaner = StreamCleaner()
        shown = ""
        rest = text
        while rest:
            cut = data.draw(st.integers(1, len(rest)))
            shown += cleaner.feed(rest[:cut])
            rest = rest[cut:]
        # Whether marks belong, a word further on may tell.
        if not re.search("[\u200e\u200f\u061c]", text):
            assert shown + cleaner.flush() == visible(text)

    def test_what_is_unseen_waits_for_what_follows(self) -> None:
        cleaner = StreamCleaner()
        assert [
            cleaner.feed(piece) for piece in ("\U0001f468", "\u200d", "\U0001f469 a\u202e")
        ] == [
            "\U0001f468",
            "",
            "\u200d\U0001f469 a",
        ]
        assert cleaner.flush() == "⟨U+202E⟩"

    def test_complete_text_is_returned_at_once(self) -> None:
        cleaner = StreamCleaner()
        assert cleaner.feed("so far") == "so far"
        assert cleaner.feed("\x1b[3") == ""
        assert cleaner.feed("1mred") == "red"

    def test_a_sequence_without_an_end_does_not_hold_back_for_ever(self) -> None:
        cleaner = StreamCleaner()
        shown = "".join(cleaner.feed("\x1b]" if i == 0 else "x" * 100) for i in range(100))
        assert len(shown) > 5000


class TestSigns:
    @given(ESCAPES)
    def test_only_tabs_and_line_ends_stay(self, text: str) -> None:
        shown = control_signs(text)
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", shown)
        assert control_signs(shown) == shown
        for kept in "\t\n\r":
            assert shown.count(kept) == text.count(kept)

    @given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
    def test_other_text_stays(self, text: str) -> None:
        assert control_signs(text) == text

    def test_signs(self) -> None:
        assert control_signs("\x1b[31mred\x9b0m\x00\x07\x7f\ud800") == "␛[31mred␛[0m␀␇␡\ufffd"

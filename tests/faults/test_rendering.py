"""Whatever an agent says, what is shown of it is text: in HTML, in plain text, on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext

import pytest

import agentnb
from agentnb.event.types import TextDelta, ToolCallFinished
from agentnb.notebook.tables import table
from agentnb.render import (
    ComparisonView,
    RunView,
    StreamCleaner,
    comparison_html,
    comparison_text,
    to_html,
    to_text,
)
from agentnb.render.chat import ChatView, TurnView, chat_html, chat_text
from tests.cases import cases
from tests.faults.hostile import OWN, texts
from tests.render.harmless import TAGS, UNSEEN, VALUES, check_harmless, everywhere
from tests.render.samples import Read, answered, read, view_of

TEXTS = texts()
NAMES = cases("name", TEXTS.keys())
# A line break of a text's own is a space or a new line; nothing else of what acts is in an output.
ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2060-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)


def chat_of(text: str) -> ChatView:
    turn = TurnView(
        prompt=text, run=everywhere(text), lock=nullcontext(), attachments=[text], note=text
    )
    return ChatView(title=text, platform=text, turns=[turn, turn], session_id=text)


def comparison_of(text: str) -> ComparisonView:
    return ComparisonView(prompt=text, runs=[(text, everywhere(text)), ("b", everywhere(text))])


OTHERS: dict[str, Callable[[str], str]] = {
    "run's file": lambda text: to_html(everywhere(text), standalone=True),
    "chat": lambda text: chat_html(chat_of(text)),
    "chat's file": lambda text: chat_html(chat_of(text), standalone=True),
    "comparison": lambda text: comparison_html(comparison_of(text)),
    "comparison's file": lambda text: comparison_html(comparison_of(text), standalone=True),
}


class TestHtml:
    @pytest.mark.parametrize("name", OWN)
    def test_of_a_run(self, name: str) -> None:
        check_harmless(to_html(everywhere(TEXTS[name])))

    @NAMES
    @cases("made", OTHERS)
    def test_of_all_else(self, made: Callable[[str], str], name: str) -> None:
        markup = made(TEXTS[name])
        assert not UNSEEN.search(markup)
        document = read(markup)
        assert document.balanced
        assert document.others in ([], ["DOCTYPE html"])
        page = {"html", "head", "meta", "title", "style", "body"} if document.others else set[str]()
        assert document.names() <= TAGS | page | {"caption"}
        for tag, attributes in document.elements:
            if tag not in ("html", "meta"):
                check_attributes(attributes)

    @NAMES
    def test_of_a_table(self, name: str) -> None:
        markup = table([{"a": TEXTS[name]}], ["a"], notes=[TEXTS[name]]).bundle()["text/html"]
        assert not UNSEEN.search(markup)
        made = read(markup)
        assert [tag for tag, _ in made.elements] == [
            *("div", "table", "thead", "tr", "th", "tbody", "tr", "td", "p")
        ]
        assert {name for _, attributes in made.elements for name in attributes} == {
            *("class", "style")
        }

    @pytest.mark.parametrize("name", OWN)
    def test_at_every_moment_of_a_stream(self, name: str) -> None:
        text = TEXTS[name][:300]
        for end in range(0, len(text), 7):
            check_harmless(to_html(answered(text[:end])))

    def test_a_reference_to_what_is_unseen_is_seen(self) -> None:
        made = read(to_html(answered(OWN["entities for what is unseen"]))).text
        assert "a⟨U+202E⟩b ⟨U+200B⟩c ⟨hidden: AB⟩" in made

    @NAMES
    def test_no_line_is_blank(self, name: str) -> None:
        # Where HTML stands in Markdown, a blank line is its end.
        for made in (
            to_html(everywhere(TEXTS[name])),
            chat_html(chat_of(TEXTS[name])),
            comparison_html(comparison_of(TEXTS[name])),
        ):
            assert all(line.strip() for line in made.strip("\n").split("\n"))

    def test_blank_lines_of_code_are_kept(self) -> None:
        code = "a\n\n \n\t\n\nb\n"
        assert code in read(to_html(answered(f"```\n{code}```"))).text


class TestToolResultsAreData:
    @pytest.mark.parametrize("name", ["a bundle as text", "a vector drawing", "formulas"])
    def test_they_are_shown_as_they_came(self, name: str) -> None:
        text = OWN[name].replace("\\unicode{x202e}", "")
        view = view_of([ToolCallFinished(call_id="c", name="t", result=text)])
        made = read(to_html(view))
        codes = [tag for tag, _ in made.elements if tag == "code"]
        assert len(codes) == 2  # the name, and the result
        # Spread over lines, where it is JSON.
        assert "".join(text.split()) in "".join(made.text.split())

    def test_a_formula_is_in_what_no_typesetter_reads(self) -> None:
        made = to_html(everywhere("$x$ \\(y\\) \\[z\\]"))
        assert made.startswith('<div class="agentnb-run mathjax_ignore tex2jax_ignore"')
        shown = table([{"a": "$x$"}], ["a"]).bundle()["text/html"]
        assert shown.startswith('<div class="mathjax_ignore tex2jax_ignore"')


class TestText:
    @NAMES
    def test_nothing_acts_on_a_terminal(self, name: str) -> None:
        text = TEXTS[name]
        for made in (
            to_text(everywhere(text)),
            chat_text(chat_of(text)),
            comparison_text(comparison_of(text)),
            repr(table([{"a": text}], ["a"], notes=[text])),
        ):
            assert not ACTING.search(made)

    @NAMES
    @pytest.mark.parametrize("size", [1, 2, 7])
    def test_nor_does_any_piece_of_a_stream(self, size: int, name: str) -> None:
        cleaner = StreamCleaner()
        text = TEXTS[name][:2000]
        shown = [cleaner.feed(text[at : at + size]) for at in range(0, len(text), size)]
        assert not ACTING.search("".join([*shown, cleaner.flush()]))

    @NAMES
    def test_nor_does_an_error(self, name: str) -> None:
        error = agentnb.PlatformError(TEXTS[name], hint=TEXTS[name])
        assert not ACTING.search(str(error))
        assert not ACTING.search(error.message)

    def test_an_error_tells_what_it_held(self) -> None:
        error = agentnb.AgentnbError("a\x1b[31m\u202eb\nc d")
        assert str(error) == "a\\x1b[31m\\u202eb\nc d"


class TestLinks:
    @pytest.mark.parametrize(
        ("label", "address"),
        [
            ("https://github.io", "https://attacker.github.io/"),
            ("http://127.0.0.1:8888/lab", "https://attacker.example/"),
            ("localhost:8888", "https://attacker.example/"),
            ("bank\u2024example", "https://attacker.example/"),
            ("https:\u2215\u2215bank.example", "https://attacker.example/"),
            ("https://bank.example https://attacker.example", "https://attacker.example/"),
            ("https://bank.**example**", "https://attacker.example/"),
            ("`bank.example`", "https://attacker.example/"),
            ("\u0430pple.com", "https://\u0430pple.com/"),
            ("https://bank.example", "https://bank%2eexample.attacker.example/"),
        ],
    )
    def test_the_host_of_a_misleading_address_is_displayed(self, label: str, address: str) -> None:
        made = linked(label, address)
        (link,) = made.links
        host = link.split("/")[2]
        assert host.isascii()
        assert f"({host})" in made.text

    @pytest.mark.parametrize(
        ("label", "address"),
        [
            ("https://www.bank.example/login", "https://bank.example/"),
            ("see https://bank.example, it says", "https://bank.example/"),
            ("the report.pdf of bank.example", "https://attacker.example/"),
            ("bank.example:443", "https://bank.example/"),
        ],
    )
    def test_the_same_address_is_not_repeated(self, label: str, address: str) -> None:
        assert "(" not in linked(label, address).text

    def test_a_half_arrived_link_is_none(self) -> None:
        whole = "go [here](https://attacker.example/a?b=c) now"
        for end in range(len(whole) - len(" now")):
            assert read(to_html(view_of([TextDelta(whole[:end])]))).links == []


def linked(label: str, address: str) -> Read:
    made = to_html(answered(f"[{label}]({address})"))
    return read(made[made.index('dir="auto">') : made.index("<small style", 200)])


def check_attributes(attributes: dict[str, str | None]) -> None:
    for name, value in attributes.items():
        allowed = VALUES.get(name)
        assert allowed is not None, name
        assert allowed(value) or "mathjax_ignore" in str(value), (name, value)


def test_harmless_text_is_kept() -> None:
    # What is harmless has to be there; a renderer that shows nothing would pass all else.
    for name in ("formulas", "classes and names", "a vector drawing"):
        view: RunView = answered(f"before\n\n{OWN[name]}\n\nafter")
        shown = read(to_html(view)).text
        assert "before" in shown
        assert "after" in shown
        assert "<" in shown or "$" in shown

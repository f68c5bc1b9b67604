"""`{{expression}}` in questions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.errors import RequestError
from agentnb.notebook.template import expand, split_template

VALUES: dict[str, Any] = {
    "name": "NVDA",
    "days": 30,
    "table": {"a": {"b": 1}},
    "nested": "{{name}}",
}


def evaluate(source: str) -> Any:
    return eval(source, {}, VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no braces", "no braces"),
        ("about {{name}}?", "about NVDA?"),
        ("{{ name }} in {{days * 2}} days", "NVDA in 60 days"),
        ("{name} stays", "{name} stays"),
        ('JSON {"a": {"b": 1}} stays', 'JSON {"a": {"b": 1}} stays'),
        ("{{nested}}", "{{name}}"),
        ("{{table['a']['b']}}", "1"),
        ("{{ {'x': {'y': 7}}['x']['y'] }}", "7"),
        ("{{'}}'}}", "}}"),
        ("{{}}", "{{}}"),
        ("{{ no python }}", "{{ no python }}"),
        ("{{{name}}}", "{'NVDA'}"),
        ("{{", "{{"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, evaluate) == expected


def test_an_expression_that_fails_says_which() -> None:
    with pytest.raises(RequestError, match=r"\{\{1/0\}\} could not be evaluated: ZeroDivision"):
        expand("{{1/0}}", evaluate)
    # LaTeX that happens to hold a name is an expression too, and fails loudly.
    with pytest.raises(RequestError, match="'a' is not defined"):
        expand(r"\frac{{a}}{b}", evaluate)


def test_names_may_be_no_python() -> None:
    text = "{{unit price}} of {{ name }} {{{2}}}, {{ no python }}"
    assert split_template(text, {"unit price"}) == (
        ["", " of ", " ", ", {{ no python }}"],
        ["unit price", "name", "{2}"],
    )


@given(st.text())
def test_text_without_double_braces_never_changes(text: str) -> None:
    single = text.replace("{{", "{")
    while "{{" in single:
        single = single.replace("{{", "{")
    assert expand(single, evaluate) == single


@given(st.text(alphabet="{}a1 '\"[]:,"))
def test_any_braces_expand_once_where_every_expression_has_a_value(text: str) -> None:
    seen: list[str] = []

    def note(source: str) -> str:
        seen.append(source)
        return "{{again}}"

    assert expand(text, note).count("{{again}}") == len(seen)

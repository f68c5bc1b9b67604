"""Files that others open: whatever an agent said, their renderers load and run nothing of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbconvert.exporters import MarkdownExporter

from agentnb.event.types import TextDelta, ToolCallFinished
from agentnb.render import comparison_markdown, to_html, to_markdown, to_text
from agentnb.render.chat import chat_html, chat_markdown
from agentnb.render.markdown_sanitizer import sanitize_markdown
from tests.cases import cases
from tests.faults.hostile import OWN, texts
from tests.faults.hostile_readers import READERS, check_document, in_jupyterlab
from tests.faults.test_rendering import chat_of, comparison_of
from tests.render.harmless import TAGS, everywhere
from tests.render.samples import conformance, pathological, read, view_of

TEXTS = texts()
NAMES = cases("name", TEXTS.keys())

EACH = cases("render", READERS)

# What Markdown and HTML are made of.
PIECES = [
    *"<>!&[]()`~\\*_|$ \n\t-+#:=1.",
    *("img src=x", "<b>", "<div>", "<!--", "<?", "https://a.b", "<https://a.b>", "&#x202e;"),
    *("> ", "- ", "1. ", "    ", "```", "~~~", "\n\n", "\n---\n", "|-|-|\n", "\\|"),
    *("$", "$$", "~~", "\\begin{a}", "\\end{a}", "\\\\(", "\\\\)", "\\\\[", "\\\\]", "%%", ":::"),
    *("http://x", "www.x.y", "a@b.cd", "{=html}", "@@0@@", "`<b>`", "<script>x</script>"),
    *("\n```\n", "\n```html\n", "\n````\n", "\n$$\n", "\n\n    <img src=x>"),
    *("](x:y)", "![", "[x][x]", "[x]: y:z\n", "[x]: <y> '"),
]


class TestMarkdown:
    def test_the_renderers_would_load_it(self) -> None:
        for render in READERS.values():
            made = read(render("![x](https://a.example/) <script>x</script>"))
            assert {"img", "script"} <= made.names()

    def test_each_takes_something_else_for_code(self) -> None:
        tag = "<img src=https://attacker.example/x>"
        swallowed = {
            "mistune": f"x ~~`~~ {tag} `",
            "nbconvert": f"costs $5 ` and $6 {tag} `",
            "jupyterlab": f"See http://x` {tag} `",
        }
        assert "<img" not in READERS["commonmark"]("\n\n".join(swallowed.values()))
        assert "<img" in READERS["mistune"](swallowed["mistune"])
        assert "<img" in READERS["nbconvert"](swallowed["nbconvert"])
        assert "<img" in in_jupyterlab([swallowed["jupyterlab"]])[0]

    @NAMES
    @EACH
    def test_of_a_run(self, render: Callable[[str], str], name: str) -> None:
        check_document(render(to_markdown(everywhere(TEXTS[name]))))

    @NAMES
    @EACH
    def test_of_a_chat(self, render: Callable[[str], str], name: str) -> None:
        check_document(render(chat_markdown(chat_of(TEXTS[name]))))

    @NAMES
    @EACH
    def test_of_a_comparison(self, render: Callable[[str], str], name: str) -> None:
        check_document(render(comparison_markdown(comparison_of(TEXTS[name]))))

    @pytest.mark.parametrize("first", OWN)
    def test_of_parts_one_after_the_other(self, first: str) -> None:
        events: list[Any] = []
        for number, second in enumerate(OWN):
            events += [
                TextDelta(OWN[first], part_id=f"a{number}"),
                TextDelta(OWN[second], part_id=f"b{number}"),
                ToolCallFinished(call_id=f"c{number}", name="t", result=OWN[second]),
            ]
        check_document(READERS["commonmark"](to_markdown(view_of(events))))

    @given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
    def test_of_anything(self, text: str) -> None:
        made = sanitize_markdown(text)
        for render in READERS.values():
            check_document(render(made))

    def test_of_anything_in_jupyterlab(self) -> None:
        # One process for all of them, so that they are made by a seed.
        chosen = random.Random(20)
        texts = ["".join(chosen.choices(PIECES, k=chosen.randint(3, 30))) for _ in range(400)]
        made = [sanitize_markdown(text) for text in texts]
        made += [to_markdown(everywhere(text)) for text in TEXTS.values()]
        for rendered in in_jupyterlab(made):
            check_document(rendered)

    def test_what_is_harmless_stays_as_it_is(self) -> None:
        text = (
            "# a\n\n**b** `c()` [d](https://d.example) <https://e.example> <f@g.example>\n\n"
            "- [x] h\n- [ ] i[^1]\n\n      j\n\n| k | `l < m` |\n|---|---|\n| $m < n$ | 1 |\n\n"
            "> [!NOTE]\n> o\n\n```html\n<img src=p>\n![q](r)\n```\n\n[s]\n\n[s]: https://s.example\n"
            "[^1]: t u\n\n$$\\frac{u}{v}$$ a &amp; b &lt; c\n\n"
            "$5 or $\\sum_{i=1}^n x_i$\n\n"
            "$$\n\\begin{aligned}\na &= b \\\\[2pt]\n\\end{aligned}\n$$\n\n"
            "\\begin{align}\na &= b\n\\end{align}\n\n1. a\n\n   ```py\n   {'b': [c]}\n   ```"
        )
        assert sanitize_markdown(text) == text

    @pytest.mark.parametrize(
        ("text", "made"),
        [
            ("![a](https://b.example/c.png)", "[image: a](https://b.example/c.png)"),
            ("![](https://b.example/c.png)", "[image: ](https://b.example/c.png)"),
            ("![a](/b)", "\\[image: a&#93;(/b)"),
            ("[a](javascript:b)", "\\[a&#93;(javascript:b)"),
            ("a <b>c</b>", "a &lt;b>c&lt;/b>"),
            ("a < b", "a < b"),
            ("```\na", "```\na\n```"),
            ('```a"><img src=b>\nc\n```', "```\nc\n```"),
            ("```mermaid\ngraph\n```", "```\ngraph\n```"),
            ("```{python}\nb\n```", "```\nb\n```"),
            ("> ~~~~ a &quot;\n> b", "> <pre><code>b</code></pre>"),
            ("`List<int>` `x`", "<code>List&lt;int&gt;</code> `x`"),
            ("`<b>`{=html} `c`{.d}", "<code>&lt;b&gt;</code>\\{=html} `c`\\{.d}"),
            ("`r system('a')`", "<code>r system('a')</code>"),
            ("# a {onclick=b}", "# a \\{onclick=b}"),
            ("a\n```html\n<b>\n\n<c>\n```\nd", "a\n\n```html\n<b>\n\n<c>\n```\n\nd"),
            ("- ```\n  <b>\n\n  c\n  ```", "- <pre><code>&lt;b&gt;&#10;\n  c</code></pre>"),
            ("> ```\n> <b>\n> c\n> ```", "> <pre><code>&lt;b&gt;\n> c</code></pre>"),
            ("    <b>\n\n    c", "<pre><code>&lt;b&gt;&#10;\nc</code></pre>"),
            (
                "````\n```{r}\nb\n```\n````",
                "<pre><code>&#96;&#96;&#96;&#123;r&#125;\nb\n&#96;&#96;&#96;</code></pre>",
            ),
            ("$$\n```\n$$\nb\n```", "&#36;&#36;\n\n```\n$$\nb\n```"),
            ("\\begin{a} b", "&#92;begin{a} b"),
            ("\\\\( a", "&#92;( a"),
            ("a\n\n---\nb: c\n---", "a\n\n***\nb: c\n---"),
            ("$\\href{a}{b}$", "$\\\\href{a}{b}$"),
        ],
    )
    def test_what_is_not_is_text(self, text: str, made: str) -> None:
        assert sanitize_markdown(text) == made

    def test_every_example_of_the_specification(self) -> None:
        for example in conformance("commonmark.json"):
            for end in range(0, len(example["markdown"]) + 1, 3):
                check_document(READERS["commonmark"](sanitize_markdown(example["markdown"][:end])))

    @pytest.mark.parametrize("name", pathological())
    def test_text_that_makes_parsers_slow(self, name: str) -> None:
        assert sanitize_markdown(pathological()[name]).strip()


class TestNotebookAsMarkdown:
    @NAMES
    def test_the_html_of_an_output_stays_html(self, name: str) -> None:
        view = everywhere(TEXTS[name])
        written = exported(
            {"text/html": to_html(view), "text/plain": to_text(view)},
            {"text/html": chat_html(chat_of(TEXTS[name]))},
        )
        made = read(READERS["commonmark"](written))
        assert made.balanced
        assert made.names() <= TAGS | {"caption"}

    def test_code_with_blank_lines_is_code_there(self) -> None:
        view = view_of([ToolCallFinished(call_id="c", name="t", result="a\n\n# b\n\n*c*")])
        made = read(READERS["commonmark"](exported({"text/html": to_html(view)})))
        assert "a\n\n# b\n\n*c*" in made.text
        assert not made.names() & {"h1", "h3", "em"}


def exported(*bundles: dict[str, str]) -> str:
    return str(MarkdownExporter().from_notebook_node(notebook_of(*bundles))[0])


def notebook_of(*bundles: dict[str, str]) -> Any:
    """Return a notebook of one cell with these outputs."""
    make: Any = nbformat.v4
    outputs = [make.new_output("display_data", data=bundle) for bundle in bundles]
    return make.new_notebook(cells=[make.new_code_cell("run", outputs=outputs)])


def test_the_head_of_a_document_is_its_facts() -> None:
    title = '"a": [![b](https://c.example/d.png)]\n---\n<img src=x>'
    document = to_markdown(view_of([], title=title))
    head = document.split("---\n")[1].splitlines()
    assert json.loads(head[0].removeprefix("agent: ")) == " ".join(title.split())

"""Markdown from outside as HTML."""

from __future__ import annotations

import pytest

from agentnb.render.markdown_html import markdown_html, plain_html
from agentnb.render.markup import Style, sanitized
from tests.render.samples import conformance, pathological, read

PATHOLOGICAL = pathological()


def html(markdown: str) -> str:
    return str(sanitized(markdown_html(markdown)))


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        pytest.param(
            "a *b* **c** ~~d~~ `<e>`",
            "<p>a <em>b</em> <strong>c</strong> <s>d</s> <code>&lt;e&gt;</code></p>\n",
            id="inline",
        ),
        pytest.param("a  \nb\nc", "<p>a<br>\nb\nc</p>\n", id="breaks"),
        pytest.param(
            "# a\n\n### b\n\n###### c",
            f'<h3 style="{Style.HEADING}">a</h3>\n'
            f'<h5 style="{Style.HEADING}">b</h5>\n'
            f'<h6 style="{Style.HEADING}">c</h6>\n',
            id="headings",
        ),
        pytest.param("> a", "<blockquote><p>a</p></blockquote>\n", id="quote"),
        pytest.param("3. a", '<ol start="3"><li>a</li></ol>\n', id="ordered list"),
        pytest.param(
            "- [x] a\n- [ ] b\n- [y] c",
            "<ul><li>☑ a</li><li>☐ b</li><li>[y] c</li></ul>\n",
            id="tasks",
        ),
        pytest.param(
            "```py <x\na\n```",
            f'<pre style="{Style.BOX}"><code style="{Style.CODE}">a\n</code></pre>',
            id="fence",
        ),
        pytest.param(
            "<b>x</b> &amp; <!-- y -->",
            "<p>&lt;b&gt;x&lt;/b&gt; &amp; &lt;!-- y --&gt;</p>\n",
            id="HTML",
        ),
        pytest.param("$5 and $6", "<p><span>$</span>5 and <span>$</span>6</p>\n", id="prices"),
        pytest.param("---", "<hr>", id="rule"),
        pytest.param("", "", id="nothing"),
        pytest.param(
            "`a\u202eb` c\u200bd", "<p><code>a⟨U+202E⟩b</code> c⟨U+200B⟩d</p>\n", id="unseen"
        ),
    ],
)
def test_markdown(markdown: str, expected: str) -> None:
    assert html(markdown) == expected


def test_table_cells_say_where_they_stand() -> None:
    made = html("|a|b|c|\n|-|-:|:-:|\n|1|2|3|")
    assert '<td style="text-align:left">1</td>' in made
    assert '<td style="text-align:right">2</td>' in made
    assert '<td style="text-align:center">3</td>' in made


def test_the_lean_format_has_the_same_text_in_fewer_bytes() -> None:
    markdown = "# h\n\n|a|b|\n|-|-:|\n|$1|$2|\n\n```\nc\n```"
    assert "<td>$1</td><td>$2</td>" in str(markdown_html(markdown, lean=True))
    lean = str(sanitized(markdown_html(markdown, lean=True)))
    assert read(lean).text == read(html(markdown)).text
    assert "style" not in lean
    assert "span" not in lean


class TestLinks:
    def test_link(self) -> None:
        assert html("[*a* b](https://example.com/c?d=1&e=2)") == (
            '<p><a href="https://example.com/c?d=1&amp;e=2" target="_blank" '
            'rel="noopener noreferrer nofollow"><em>a</em> b</a></p>\n'
        )

    def test_mail(self) -> None:
        assert read(html("<me@example.com>")).links == ["mailto:me@example.com"]

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vscode://file/etc/passwd",
            "/api/contents",
            "//attacker.example/x",
            "#approve",
            "http://",
            "https://[::1",
            "https:\\\\attacker.example",
            "java\u200bscript:alert(1)",
        ],
    )
    def test_other_addresses_are_no_links(self, url: str) -> None:
        for markdown in (f"[label]({url})", f"[label](<{url}>)", f"[label]\n\n[label]: {url}"):
            read_back = read(html(markdown))
            assert read_back.links == []
            assert "label" in read_back.text

    def test_the_host_of_a_misleading_link_is_displayed(self) -> None:
        text = read(html("[https://github.com/login](https://attacker.example/login)")).text
        assert text == "https://github.com/login (attacker.example)\n"

    def test_the_same_host_is_not_repeated(self) -> None:
        text = read(html("[www.example.com](https://example.com/) <https://example.com/>")).text
        assert text == "www.example.com https://example.com/\n"

    def test_the_mailbox_of_a_misleading_link_is_displayed(self) -> None:
        text = read(html("[help@bank.example](mailto:me@attacker.example)")).text
        assert text == "help@bank.example (me@attacker.example)\n"

    def test_name_before_the_host_is_dropped(self) -> None:
        made = read(html("[ok](https://github.com@attacker.example:8443/x)"))
        assert made.links == ["https://attacker.example:8443/x"]


class TestImages:
    @pytest.mark.parametrize(
        ("markdown", "shown"),
        [
            pytest.param(
                "![a *b*](https://x.example/s.png)",
                "[image “a b” from x.example, not loaded]",
                id="remote",
            ),
            pytest.param(
                "![](//x.example/s.png)", "[image from x.example, not loaded]", id="no scheme"
            ),
            pytest.param("![a](/api/contents)", "[image “a”, not loaded]", id="of this server"),
            pytest.param("![a](data:image/png;base64,AAAA)", "[image “a”, not loaded]", id="data"),
            pytest.param(
                "![a](https://u:p@x.example/)", "[image “a” from x.example, not loaded]", id="user"
            ),
        ],
    )
    def test_image_is_a_note(self, markdown: str, shown: str) -> None:
        assert html(markdown) == f"<p><em>{shown}</em></p>\n"

    def test_image_in_a_link(self) -> None:
        made = read(html("[![a](https://x.example/s.png)](https://example.com/)"))
        assert made.links == ["https://example.com/"]
        assert "from x.example" in made.text


class TestBounds:
    @pytest.mark.parametrize("name", PATHOLOGICAL)
    def test_pathological_text_is_rendered(self, name: str) -> None:
        made = read(html(PATHOLOGICAL[name]))
        assert made.balanced
        assert not made.open

    def test_many_brackets_are_plain(self) -> None:
        assert read(html("[a](https://x.example) " * 501)).links == []
        assert len(read(html("[a](https://x.example) " * 499)).links) == 499

    def test_long_text_is_plain(self) -> None:
        assert html("*a* " * 30_000).startswith("<pre")

    def test_many_cells_are_plain(self) -> None:
        assert (
            html("|a" * 100 + "|\n" + "|-" * 100 + "|\n" + ("|b" * 100 + "|\n") * 201)[:4] == "<pre"
        )


def test_plain_text_keeps_its_lines() -> None:
    assert sanitized(plain_html("a\n  <b> &\u202e")) == (
        '<pre style="white-space:pre-wrap">a\n  &lt;b&gt; &amp;⟨U+202E⟩</pre>'
    )


def test_every_example_of_the_specification_is_safe() -> None:
    blocks = {"blockquote", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "ul"}
    inline = {"a", "br", "code", "em", "s", "span", "strong"}
    for example in conformance("commonmark.json"):
        made = read(html(example["markdown"]))
        assert made.balanced, example
        assert made.names() <= blocks | inline
        assert all(
            url.startswith(("https:", "http:", "mailto:")) for url in map(str.lower, made.links)
        )

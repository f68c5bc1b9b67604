"""No renderer finds a link in exported Markdown that leads where it may not."""

from __future__ import annotations

import pytest

from agentnb.render.markdown import quote_markdown
from agentnb.render.markdown_sanitizer import sanitize_markdown
from tests.faults.hostile_readers import READERS, check_document, in_jupyterlab
from tests.fuzz.links import Documents

FOUND = [
    "#Summary [^1]\n[^1]: javascript:alert(1)",
    "#Summary [^1]\n[^1]:\n javascript:alert(1)",
    "#Summary [^1]\n[^1]: javascript:alert(1) 'title'",
    "#Summary [^1]\n[^1]: <javascript:alert(1) x>",
    "> #Summary [^1]\n> [^1]: javascript:alert(1)",
    "- #Summary [^1]\n  [^1]: javascript:alert(1)",
    "#Summary [^a b]\n[^a b]: data:text/html,x",
    "[^a]: \n---\n\n[^a]",
    "[^a]: `<b>`\\end{a}<img src=x>\n    [b]: https://a.b\n\n[^a] [b]",
    "[\n```\n@<img src=x>]: https://a.b\n[: x<b>]: <b>a?x\n\n[a]",
    "[![a](HTTP://A)](x:y)",
    "![a](\u00a0mailto:a@b.cd)",
    "| [a](</div>[[$) | b |\n|-|-|\n| ![c](http:x) | \n[a]:\n\\| [^1]: |",
    'http://x$a@b.cd "onclick=x" $<x:y>',
    '[a](https://a.b "t$" onclick=x "$")',
    "https://a.b\\\\[x\n```\n\\\\] <ftp://a>\n```",
    "[^a]: ***https://a)b[x](>))",
    "[$$|\n[$$\n```\n[[]()<img src=x>$$",
    "`<b>` xmpp\\:@b.cd",
    "<!--{=html}a@b.cd>-->\n\n<!A@b.cd>\n\n<?a@b.cd>\n\n</a@b.cd>",
]
GENERATED = 1_500


def test_no_link_leads_elsewhere() -> None:
    documents = Documents(seed=20_260_101)
    texts = [*FOUND, *(documents.make() for _ in range(GENERATED))]
    made = [sanitize_markdown(text) for text in texts]
    for render in READERS.values():
        for each in made:
            check_document(render(each))
    for rendered in in_jupyterlab(made):
        check_document(rendered)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("xmpp:a@b.cd/x", "xmpp: a@b.cd/x"),
        ("x-mailto:a@b.cd", "x- mailto:a@b.cd"),
        ("mailto:a@b.cd@e.fg", "mailto: a@b.cd@e.fg"),
        ("--mailto:mailto:a@b.cd", "-- mailto:mailto:a@b.cd"),
        ("xmpp:@b.cd", "xmpp: @b.cd"),
        ("xmpp:mailto:mailto:a@b.cd", "xmpp: mailto:mailto:a@b.cd"),
        ("see //a.b", "see &#47;/a.b"),
        ("https://a.b/?u=//c.d", "https://a.b/?u=%2F/c.d"),
        ("a // b", "a // b"),
        ("m\n: a\n\n    //a.b", "m\n: a\n\n<pre><code>&#47;/a.b</code></pre>"),
        ("see mailto:a@b.cd", "see mailto:a@b.cd"),
        ("[^1]: see there", "[^1]: see there"),
        ("https://a.b/$c", "https://a.b/%24c"),
    ],
)
def test_what_only_some_make_links_of(text: str, made: str) -> None:
    assert sanitize_markdown(text) == made


def test_quoted_code_is_recognized_without_its_fence() -> None:
    made = quote_markdown("https://a.b/x $[#\n\n```\n*: x$<a href=x:y>\n```")
    assert "```" not in made
    check_document(in_jupyterlab([made])[0])

"""Markdown that ought to become links, images or HTML, in every form that parsers disagree on."""

from __future__ import annotations

import random
from typing import Final

__all__ = ["Documents"]

_PIECES: Final = (
    *"<>!&[]()`~\\*_|$ \n\t-+#:=1.^\"'{}%@",
    *("a", "b", "x y", "\n\n", "\n  ", "\n\t", "  \n", "\\\n", "\r\n", "\u00a0", "\u2003", "\x0b"),
    *("> ", ">", "- ", "1. ", "    ", "\t", "```", "~~~", "\n---\n", "\n===\n", "|-|-|\n", "\\|"),
    *("# ", "#", "##Summary ", "\n#Summary [^1]\n", "\n# ", "* * *", "***", "___", "- [ ] ", "\n|"),
    *("$", "$$", "~~", "\\begin{a}", "\\end{a}", "\\\\(", "\\\\)", "\\\\[", "\\\\]", "%%", ":::"),
    *("[a]", "[a][b]", "[b]", "[^1]", "[^1]:", "[^1]: ", "[a]: ", "\n[a]:\n", "[A ]: ", "[^a b]: "),
    *("](", "]:", "][", "![", "[!", "[[", "]]", "[x](", "](<", ">)", ' "t")', " 't'", " (t)"),
    *("javascript:alert(1)", "JaVaScRiPt:x", "java\nscript:x", "data:text/html,x", "vbscript:x"),
    *("javascript&colon;x", "&#106;avascript:x", "javascript%3Ax", "\\javascript:x", "file:///x"),
    *("//a.b", "/x", "#x", "?x", "../x", "x", "blob:x", "http:x", "https:", "mailto:", "tel:1"),
    *("https://a.b", "<https://a.b>", "<a@b.cd>", "<javascript:x>", "<x:y>", "http://x", "ftp://x"),
    *(
        "www.x.y",
        "a@b.cd",
        "xmpp:a@b.cd/x",
        "mailto:a@b.cd",
        "HTTP://A",
        "<ftp://a>",
        "https://a)b",
    ),
    *("<b>", "<div>", "</div>", "<!--", "-->", "<?", "<![CDATA[", "<a href=x:y>", "<img src=x>"),
    *("<!--a@b.cd>", "<?a@b.cd>", "<!A@b.cd>", "</p@b.cd>"),
    *("<script>x</script>", "`<b>`", "``", "`", "\n```\n", "\n````\n", "\n~~~\n", "\n\n    <b>"),
    *("&#x202e;", "&lt;", "&amp;#106;", "&NewLine;", "&Tab;", "&colon;", "&lbrack;", "&#91;", "&"),
    *("{=html}", "{onclick=x}", "[TOC]", "[[x]]", "{{x}}", "^x^", "==x==", "*[a]: b", ": x", "@@"),
)
_SHAPES: Final = (
    "#Summary [^1]\n[^1]: {}",
    "{0}[^1]\n[^1]: {1}",
    "[a]: {}\n\n[a]",
    "x\n[a]: {}\n\n[a] ![a]",
    "> [a]: {}\n\n[a]",
    "- [a]:\n  {}\n- [a]",
    "[a]({})",
    "![a]({})",
    "[{}](https://a.b)",
    "[![a]({})](x:y)",
    "| [a]({}) | b |\n|-|-|\n| ![c]({}) | {} |",
    "<{}>",
    "[a]: <{}>\n\n[a]",
    "# {}\n[a]: {}\n\n[a][]",
    "{}\n===\n[a]: {}",
    "***\n[a]: {}\n\n[a]",
    "```\n{}\n```\n[a]: {}\n\n[a]",
    "`{}` [a]({})",
    "[^a]: {}\n    [b]: {}\n\n[^a] [b]",
    "1. {}\n[a]: {}\n\n   [a]",
    '[a](https://a.b "{}${}${}")',
    "[a]: https://a.b/${}${} '{}'\n\n[a]",
    '[a](https://a.b/${}) "{}$ {}',
    "https://a.b/{}${}${}",
    "[{}]: https://a.b\n[{}]: {}\n\n[a]",
)


class Documents:
    """Makes hostile Markdown; the same ``seed`` makes the same."""

    def __init__(self, *, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self) -> str:
        """Return one document."""
        text = self._pieces(30)
        if self._random.random() < 0.5:
            shape = self._random.choice(_SHAPES)
            text = shape.format(*(self._pieces(5) for _ in range(3)))
            if self._random.random() < 0.3:
                text = f"{self._pieces(5)}{text}{self._pieces(5)}"
        return text

    def _pieces(self, most: int) -> str:
        return "".join(self._random.choices(_PIECES, k=self._random.randint(1, most)))

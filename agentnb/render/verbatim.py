"""Code and formulas in Markdown for renderers that agree on little more than on what HTML is.

Some bind a formula, an address or a struck-out word tighter than a code span, or look for the end
of a formula beyond blank lines, so that one takes for text what another takes for code.  Code in
which something would act if it were text is therefore written as HTML of entities alone, unless it
is a fence that nothing before it can swallow.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

__all__ = [
    "RELATIVE",
    "Block",
    "block_code",
    "entities",
    "fence",
    "inline_code",
    "is_told_apart",
    "settled",
]

_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BACKTICKS: Final = re.compile(r"`+")
# An address without a scheme goes by that of the page, which may be a file.
RELATIVE: Final = r"(?<![^\W_])(?<![:/\\])/(?=/[^\s/])"
_STRUCTURE: Final = re.compile(
    rf"[&<>`*\[\]!\\$~{{}}%@|]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=[Ww][Ww][Ww])\.|{RELATIVE}"
)
# What would act in code, if a renderer took it for text: tags, images, addresses that a link in
# text may not have, macros that load, and what opens or closes a formula or a fence.
_WOULD_ACT: Final = re.compile(
    r"<[A-Za-z/!?]|!\\?\[|\](?:\(|:)(?![ \t]*<?(?i:https?://|mailto:))|&#?\w+;"
    r"|\\(?:href|url|includegraphics|html(?:Class|Id|Style|Data)|require|cssId|class|style"
    r"|begin|end|input|include|unicode)(?![A-Za-z])"
    r"|\$\$|%%|\\\\[\[\]()]|`{3}|~{3}|[Ff][Tt][Pp]://"
    rf"|{RELATIVE}"
)
# What is run by knitr, Quarto or Hugo even within code: calls in backticks, blocks with their
# language in braces, shortcodes.
_RUNS: Final = re.compile(
    r"`(?:r[ #]|\{\w+\} )|^[\t >]*(?:`{3,}|~{3,})[ \t]*\{|\{\{[<%]", re.MULTILINE
)
_CALL: Final = re.compile(r"r[ #]|\{\w+\} ")

_FENCE: Final = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*")

# What is in a formula whose end is found by all: neither code nor a blank line.
_INNER: Final = r"[^$`~%\\\n]|~(?!~~)|%(?!%)|\n(?![ \t>]*(?:\n|\Z))"
_TARGETS: Final = (
    # JupyterLab puts a formula back into an attribute as it is, with its quotes.
    r"(?P<link>\](?:\(|:)[ \t]*<?(?i:https?://|mailto:)[^\s<>]*>?"
    r"(?:\s+(?:\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|\((?:\\.|[^)\\])*\)?))?)"
    r"|(?P<url>(?i:https?://|www\.|mailto:)[^\s<>]*)"
)
_LOOSE_THINGS: Final = (
    rf"(?P<formula>(?<![\\$])\$\$(?!\$)(?:{_INNER}|\\(?![$`]))+(?<!\\)\$\$(?!\$))"
    r"|(?P<environment>(?<!\\)\\begin\{(?P<name>[A-Za-z]+\*?)\}"
    rf"(?:{_INNER}|\\(?!begin\b|end\b))*\\end\{{(?P=name)\}})"
    r"|(?P<dollars>\${2,})"
    r"|(?P<env>\\(?=(?:begin|end)\{))"
    r"|(?<!\\)(?P<slashes>\\{2,}+)(?=[\[\]()])"
    r"|(?P<fence>`{3,}|~{3,})"
    r"|(?P<comment>%%+)"
    # Attributes of what stands before them, as Pandoc and Quarto read them, and roles.
    r"|(?P<brace>(?<![^\s\])>:`])\{(?=[^{}]*=)|\{(?=[\w:+-]+\}`)|(?<=`)\{|\{(?=\{[<%]))"
    r"|(?P<colons>(?:(?<=\n)|\A)[ \t>]*:::)"
    # Where no blank line follows it, it is the head of a document, and its words are options.
    r"|(?P<head>(?<![^\n])---(?=[ \t]*\n[ \t]*\S))"
)
_LOOSE: Final = re.compile(f"{_TARGETS}|{_LOOSE_THINGS}")
_LOOSE_IN_TARGETS: Final = re.compile(_LOOSE_THINGS)
_LOOSE_INSIDE: Final = re.compile(r"\$\$|\\(?=(?:begin|end)\{)|\\\\(?=[\[\]()])")
_DEFINITION: Final = re.compile(r"[ \t]*[:~][ \t]")
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)\{([^}]*)\}")


def entities(text: str) -> str:
    """Return ``text`` with an entity for every character."""
    return "".join(map(_entity_of, text))


@lru_cache(maxsize=256)
def _entity_of(char: str) -> str:
    return _NAMED.get(char) or f"&#{ord(char)};"


def fence(text: str) -> str:
    """Return ``text`` as a block of code, whatever is in it."""
    text = text.rstrip()
    if _runs(text):
        return "\n".join(block_code(text.split("\n")))
    marks = "`" * max(3, max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
    return f"{marks}\n{text}\n{marks}"


def is_told_apart(text: str, *, is_inline: bool = False) -> bool:
    """Tell whether nothing in code would act, were it taken for text."""
    if _runs(text) or (is_inline and _CALL.match(text)):
        return False
    return not _WOULD_ACT.search(text)


def _runs(text: str) -> bool:
    """Tell whether something in code is run although it is code."""
    return _RUNS.search(text) is not None


def _is_tidy(lines: list[str]) -> bool:
    """Tell whether all renderers find the beginning and the end of this fence, if it is one."""
    found = _FENCE.fullmatch(lines[0])
    if found is None or len(lines) < 2:
        return False
    indent, marks = found[1], found[2]
    inner = [line for line in lines[1:-1] if line.strip()]
    return (
        lines[-1].rstrip() == indent + marks
        and all(line.startswith(indent) for line in inner)
        and not any(line.lstrip(" \t>").startswith(marks) for line in inner)
    )


def inline_code(text: str) -> str:
    """Return code within a line, as HTML in which no character means anything to Markdown."""
    return f"<code>{_verbatim(text)}</code>"


def block_code(lines: Sequence[str], prefixes: Sequence[str] = ()) -> list[str]:
    """Return lines of HTML, none of them blank, that show these lines of code.

    ``prefixes`` are what stands before each of them, such as the mark of a quote.
    """
    made: list[str] = []
    for number, line in enumerate(lines or [""]):
        prefix = prefixes[number] if number < len(prefixes) else ""
        if not made:
            made.append(f"{prefix}<pre><code>{_verbatim(line.rstrip())}")
        elif line.strip():
            made.append(prefix + _verbatim(line))
        else:
            # To Markdown, HTML may end with a blank line.
            made[-1] += "&#10;"
    made[-1] += "</code></pre>"
    return made


class Block:
    """A block of code: where it begins and ends in the text, and what is in it."""

    def __init__(self, token: Token, first: int, end: int) -> None:
        self.first, self.end = first, end
        self.content = token.content.removesuffix("\n").split("\n")
        self.is_quiet = is_told_apart(token.content)
        self._token = token

    @property
    def is_outer(self) -> bool:
        """Whether it is a fence that no list and no quote is around."""
        return self._token.type == "fence" and self._token.level == 0

    def is_found(self, lines: list[str], *, is_quoted: bool = False) -> bool:
        """Tell whether these lines may stay, since all find them or nothing in them would act."""
        if self._token.type == "code_block":
            return self.is_quiet
        is_plain = self.is_outer and not is_quoted and not lines[0].startswith(" ")
        # To some, the first mark of a fence is a term, and this its definition.
        is_plain = is_plain and not any(map(_DEFINITION.match, lines[1:3]))
        return _is_tidy(lines) and (is_plain or self.is_quiet) and not _runs(self._token.content)

    def prefixes(self, lines: Sequence[str]) -> list[str]:
        """Return what stands before each line of the code, lists and quotes around it."""
        is_fence = self._token.type == "fence"
        before: list[str] = []
        for line, code in zip(lines[is_fence:], self.content, strict=False):
            around = line[: len(line) - len(code)] if line.endswith(code) else ""
            before.append(around if is_fence else around.removesuffix("    "))
        if self._token.level == 0:
            before = []
        if is_fence:
            before[:1] = [lines[0][: lines[0].index(self._token.markup)]]
        return before


def settled(text: str) -> str:
    """Return text between blocks of code so that no renderer takes code for a part of it.

    What opens a formula, a fence or a comment that is not closed nearby is text, and so are the
    attributes that some read after a link, a heading or code.
    """
    return _LOOSE.sub(_mended, text)


def _mended(match: re.Match[str]) -> str:
    found = match[0]
    match match.lastgroup:
        case "formula" if not _begins_line(match):
            return entities(found[:2]) + found[2:-2] + entities(found[-2:])
        case "formula" | "environment" | "name":
            return found if _is_balanced(found) else _LOOSE_INSIDE.sub(_entity, found)
        case "link":
            return found[0] + _LOOSE_IN_TARGETS.sub(_mended, found[1:].replace("$", "&#36;"))
        case "url":
            return found[0] + _LOOSE_IN_TARGETS.sub(_mended, found[1:].replace("$", "%24"))
        case "slashes":
            return "&#92;" * (len(found) // 2) + "\\" * (len(found) % 2)
        case "comment":
            return "%" + "&#37;" * (len(found) - 1)
        case "brace":
            return "\\{"
        case "colons":
            return found[:-3] + "\\:::"
        case "head":
            return "***" if _is_after_blank(match) else found
        case _:
            return entities(found)


def _is_after_blank(match: re.Match[str]) -> bool:
    end = match.start() - 1
    return end < 0 or not match.string[match.string.rfind("\n", 0, end) + 1 : end].strip()


def _begins_line(match: re.Match[str]) -> bool:
    """Tell whether a formula is in one line, or begins one: some know no other of several."""
    if "\n" not in match[0]:
        return True
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
    return not line.strip(" \t>")


def _is_balanced(formula: str) -> bool:
    opened: list[str] = []
    for kind, name in _ENVIRONMENT.findall(formula):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    return not opened


def _entity(match: re.Match[str]) -> str:
    return entities(match[0])


def _verbatim(text: str) -> str:
    return _STRUCTURE.sub(lambda found: _entity_of(found[0]), text)

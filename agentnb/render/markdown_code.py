"""Write code and formulas in Markdown so that different renderers read them alike.

In some renderers a formula, an address or struck-out text takes precedence over a code span, or a
formula may contain blank lines, so that one takes for text what another takes for code.  Code that
would act as text is therefore written as HTML of entities only, unless it is a fence that nothing
before it can swallow.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BACKTICKS: Final = re.compile(r"`+")
# An address without a scheme has that of the page, which may be a file.
RELATIVE: Final = r"(?<![^\W_])(?<![:/\\])/(?=/[^\s/])"
_STRUCTURE: Final = re.compile(
    rf"[&<>`*\[\]!\\$~{{}}%@|]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=[Ww][Ww][Ww])\.|{RELATIVE}"
)
# What would act in code that is taken for text: tags, images, unsafe link targets, macros that
# load, and delimiters of formulas and fences.
_ACTIVE_AS_TEXT: Final = re.compile(
    r"<[A-Za-z/!?]|!\\?\[|\](?:\(|:)(?![ \t]*<?(?i:https?://|mailto:))|&#?\w+;"
    r"|\\(?:href|url|includegraphics|html(?:Class|Id|Style|Data)|require|cssId|class|style"
    r"|begin|end|input|include|unicode)(?![A-Za-z])"
    r"|\$\$|%%|\\\\[\[\]()]|`{3}|~{3}|[Ff][Tt][Pp]://"
    rf"|{RELATIVE}"
)
# Code that knitr, Quarto or Hugo execute: calls in backticks, languages in braces, shortcodes.
_EXECUTED: Final = re.compile(
    r"`(?:r[ #]|\{\w+\} )|^[\t >]*(?:`{3,}|~{3,})[ \t]*\{|\{\{[<%]", re.MULTILINE
)
_INLINE_CALL: Final = re.compile(r"r[ #]|\{\w+\} ")

_FENCE: Final = re.compile(r"( {0,3})(`{3,}|~{3,})[ \t]*[\w+#.-]*[ \t]*")

# Content of a formula whose end all renderers find: neither code nor a blank line.
_INNER: Final = r"[^$`~%\\\n]|~(?!~~)|%(?!%)|\n(?![ \t>]*(?:\n|\Z))"
_TARGETS: Final = (
    # JupyterLab copies a formula into an attribute unescaped, with its quotes.
    r"(?P<link>\](?:\(|:)[ \t]*<?(?i:https?://|mailto:)[^\s<>]*>?"
    r"(?:\s+(?:\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|\((?:\\.|[^)\\])*\)?))?)"
    r"|(?P<url>(?i:https?://|www\.|mailto:)[^\s<>]*)"
)
_DELIMITERS: Final = (
    rf"(?P<formula>(?<![\\$])\$\$(?!\$)(?:{_INNER}|\\(?![$`]))+(?<!\\)\$\$(?!\$))"
    r"|(?P<environment>(?<!\\)\\begin\{(?P<name>[A-Za-z]+\*?)\}"
    rf"(?:{_INNER}|\\(?!begin\b|end\b))*\\end\{{(?P=name)\}})"
    r"|(?P<dollars>\${2,})"
    r"|(?P<env>\\(?=(?:begin|end)\{))"
    r"|(?<!\\)(?P<slashes>\\{2,}+)(?=[\[\]()])"
    r"|(?P<fence>`{3,}|~{3,})"
    r"|(?P<comment>%%+)"
    # Attributes in Pandoc and Quarto, and roles.
    r"|(?P<brace>(?<![^\s\])>:`])\{(?=[^{}]*=)|\{(?=[\w:+-]+\}`)|(?<=`)\{|\{(?=\{[<%]))"
    r"|(?P<colons>(?:(?<=\n)|\A)[ \t>]*:::)"
    # Without a blank line after it, it begins a document's front matter.
    r"|(?P<head>(?<![^\n])---(?=[ \t]*\n[ \t]*\S))"
)
_UNCLOSED: Final = re.compile(f"{_TARGETS}|{_DELIMITERS}")
_DELIMITER: Final = re.compile(_DELIMITERS)
_UNCLOSED_INSIDE: Final = re.compile(r"\$\$|\\(?=(?:begin|end)\{)|\\\\(?=[\[\]()])")
_DEFINITION: Final = re.compile(r"[ \t]*[:~][ \t]")
_ENVIRONMENT: Final = re.compile(r"\\(begin|end)\{([^}]*)\}")


def as_entities(text: str) -> str:
    """Return ``text`` with every character as an entity."""
    return "".join(map(_entity, text))


@lru_cache(maxsize=256)
def _entity(char: str) -> str:
    return _NAMED.get(char) or f"&#{ord(char)};"


def fenced(text: str) -> str:
    """Return ``text`` as a block of code."""
    text = text.rstrip()
    if _is_executed(text):
        return "\n".join(code_as_html(text.split("\n")))
    marks = "`" * max(3, max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
    return f"{marks}\n{text}\n{marks}"


def is_harmless_code(text: str, *, is_inline: bool = False) -> bool:
    """Return whether nothing in code would act if it were taken for text."""
    if _is_executed(text) or (is_inline and _INLINE_CALL.match(text)):
        return False
    return not _ACTIVE_AS_TEXT.search(text)


def _is_executed(text: str) -> bool:
    return _EXECUTED.search(text) is not None


def _is_tidy(lines: list[str]) -> bool:
    """Return whether these lines are a fence that all renderers recognize."""
    match = _FENCE.fullmatch(lines[0])
    if match is None or len(lines) < 2:
        return False
    indent, marks = match[1], match[2]
    inner = [line for line in lines[1:-1] if line.strip()]
    return (
        lines[-1].rstrip() == indent + marks
        and all(line.startswith(indent) for line in inner)
        and not any(line.lstrip(" \t>").startswith(marks) for line in inner)
    )


def inline_code(text: str) -> str:
    """Return code within a line as HTML, with all Markdown syntax as entities."""
    return f"<code>{_escape_syntax(text)}</code>"


def code_as_html(lines: Sequence[str], prefixes: Sequence[str] = ()) -> list[str]:
    """Return lines of code as lines of HTML, none of them blank.

    ``prefixes`` are inserted before the lines, such as the mark of a quote.
    """
    out: list[str] = []
    for number, line in enumerate(lines or [""]):
        prefix = prefixes[number] if number < len(prefixes) else ""
        if not out:
            out.append(f"{prefix}<pre><code>{_escape_syntax(line.rstrip())}")
        elif line.strip():
            out.append(prefix + _escape_syntax(line))
        else:
            # In Markdown a blank line ends HTML.
            out[-1] += "&#10;"
    out[-1] += "</code></pre>"
    return out


class CodeBlock:
    """A block of code: its first line, the line after the last, and its content."""

    def __init__(self, token: Token, first: int, end: int) -> None:
        self.first, self.end = first, end
        self.content = token.content.removesuffix("\n").split("\n")
        self._is_harmless = is_harmless_code(token.content)
        self._token = token

    @property
    def is_outer(self) -> bool:
        """Whether it is a fence outside lists and quotes."""
        return self._token.type == "fence" and self._token.level == 0

    def is_unambiguous(self, lines: list[str], *, is_quoted: bool = False) -> bool:
        """Return whether all renderers take these lines for code, or they are harmless as text."""
        if self._token.type == "code_block":
            return self._is_harmless
        is_plain = self.is_outer and not is_quoted and not lines[0].startswith(" ")
        # In some renderers this is the definition of a term, which is the fence's first line.
        is_plain = is_plain and not any(map(_DEFINITION.match, lines[1:3]))
        is_executed = _is_executed(self._token.content)
        return _is_tidy(lines) and (is_plain or self._is_harmless) and not is_executed

    def prefixes(self, lines: Sequence[str]) -> list[str]:
        """Return the marks of lists and quotes before each line of the code."""
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


def escape_unclosed(text: str) -> str:
    """Return text between blocks of code with unclosed formulas, fences and comments escaped.

    Otherwise they would swallow the code that follows.  Attributes, which some renderers read after
    a link, a heading or code, are escaped as well.
    """
    return _UNCLOSED.sub(_escape_delimiter, text)


def _escape_delimiter(match: re.Match[str]) -> str:
    found = match[0]
    match match.lastgroup:
        case "formula" if not _begins_line(match):
            return as_entities(found[:2]) + found[2:-2] + as_entities(found[-2:])
        case "formula" | "environment" | "name":
            if _is_balanced(found):
                return found
            return _UNCLOSED_INSIDE.sub(lambda inner: as_entities(inner[0]), found)
        case "link":
            return found[0] + _DELIMITER.sub(_escape_delimiter, found[1:].replace("$", "&#36;"))
        case "url":
            return found[0] + _DELIMITER.sub(_escape_delimiter, found[1:].replace("$", "%24"))
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
            return as_entities(found)


def _is_after_blank(match: re.Match[str]) -> bool:
    end = match.start() - 1
    return end < 0 or not match.string[match.string.rfind("\n", 0, end) + 1 : end].strip()


def _begins_line(match: re.Match[str]) -> bool:
    """Return whether a formula has one line or begins one, as some renderers require."""
    if "\n" not in match[0]:
        return True
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : match.start()]
    return not line.strip(" \t>")


def _is_balanced(formula: str) -> bool:
    open_names: list[str] = []
    for kind, name in _ENVIRONMENT.findall(formula):
        if kind == "begin":
            open_names.append(name)
        elif not open_names or open_names.pop() != name:
            return False
    return not open_names


def _escape_syntax(text: str) -> str:
    return _STRUCTURE.sub(lambda match: _entity(match[0]), text)

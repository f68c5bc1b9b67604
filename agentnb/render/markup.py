"""Building HTML that is safe by construction, and an allow-list that holds all the same.

`element` escapes every string it is given; only what it made itself, an `Html`, goes in as it is.
`sanitized` then lets nothing through that agentnb does not write.  The allow-list also shows what
the static view may be made of: what survives JupyterLab's sanitizer in an untrusted notebook, and
mostly GitHub's too.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

__all__ = [
    "ALERT",
    "ALIGNMENTS",
    "BOX",
    "BREAKING",
    "CODE",
    "COLUMN",
    "COLUMNS",
    "DATA",
    "FOLDED",
    "HEADING",
    "INDENTED",
    "MUTED",
    "PAUSE",
    "PLOT",
    "PLOT_LABELS",
    "SCROLLED",
    "STYLES",
    "WRAPPED",
    "WRAPPER_CLASS",
    "Address",
    "Html",
    "bar_style",
    "element",
    "escaped",
    "is_style",
    "joined",
    "link",
    "link_address",
    "misleads",
    "sanitized",
]

# MathJax leaves an element of these classes alone; without them it makes formulas of prices.
WRAPPER_CLASS: Final = "agentnb-run mathjax_ignore tex2jax_ignore"
ALIGNMENTS: Final = {side: f"text-align:{side}" for side in ("left", "center", "right")}
# Only what JupyterLab's sanitizer lets through, and what reads well on light and on dark.
FOLDED: Final = "margin:.4em 0"
# Jupyter keeps a quote clear by two letters on both sides, too much for a narrow column.
INDENTED: Final = "margin:.5em 0 .5em .5em"
MUTED: Final = "opacity:.7"
WRAPPED: Final = "white-space:pre-wrap"
# `anywhere` and `word-break:break-word` are among what the sanitizer drops.
BREAKING: Final = "overflow-wrap:break-word"
# Under Jupyter's own style sheet headings are of regular weight.
HEADING: Final = "font-weight:600"
# Jupyter wraps `code` and paints it opaque, within `pre` too, so both elements need a style.
BOX: Final = "margin:.2em 0 1em;padding:.5em .8em;background:#8882;overflow-x:auto"
CODE: Final = "background:none;white-space:pre"
DATA: Final = "background:none;white-space:pre-wrap"
ALERT: Final = "margin:.5em 0;border-left:3px solid #d33;padding-left:.8em"
PAUSE: Final = "margin:.5em 0;border-left:3px solid #b70;padding-left:.8em"
# Side by side where there is room, one below the other where there is not.
COLUMNS: Final = "display:flex;flex-wrap:wrap;gap:0 1.5em"
COLUMN: Final = "flex:1 1 260px;min-width:0"
SCROLLED: Final = "overflow-x:auto"
# A table whose second column is a scale; Jupyter lays tables out as fixed, others do not.
PLOT: Final = "width:100%;max-width:48em;table-layout:fixed"
PLOT_LABELS: Final = "width:45%;text-align:left"
STYLES: Final = frozenset(
    {
        *ALIGNMENTS.values(),
        *(FOLDED, INDENTED, MUTED, ALERT, PAUSE, COLUMNS, COLUMN, SCROLLED),
        *(WRAPPED, BREAKING, HEADING, BOX, CODE, DATA, PLOT, PLOT_LABELS),
    }
)

# A border is printed, and seen where a reader's own colours are forced; a background is not.
_BAR: Final = "margin-left:{:.1f}%;width:{:.1f}%;min-width:2px;border-top:6px solid {}"
_BARS: Final = re.compile(
    r"margin-left:\d{1,3}\.\d%;width:\d{1,3}\.\d%;min-width:2px;border-top:6px solid #[0-9a-f]{3}",
    re.ASCII,
)

_BLOCKS: Final = {
    "blockquote",
    "details",
    "div",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "p",
    "pre",
    "summary",
}
_LISTS: Final = {"li", "ol", "ul"}
_TABLES: Final = {"caption", "table", "tbody", "td", "th", "thead", "tr"}
_INLINE: Final = {"a", "br", "code", "em", "s", "small", "span", "strong"}
_TAGS: Final = _BLOCKS | _LISTS | _TABLES | _INLINE
_REL: Final = "noopener noreferrer nofollow"
_ATTRIBUTES: Final = {
    "*": {"class", "style", "dir"},
    "a": {"href", "target"},
    "details": {"open"},
    "ol": {"start"},
    "th": {"scope"},
}
_VALUES: Final[dict[str, frozenset[str]]] = {
    "class": frozenset({WRAPPER_CLASS}),
    "dir": frozenset({"auto", "ltr"}),
    "target": frozenset({"_blank"}),
    "rel": frozenset({_REL}),
    "open": frozenset({""}),
    "scope": frozenset({"col", "row"}),
}

_SPECIAL: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_FORBIDDEN_IN_ADDRESS: Final = re.compile(
    r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\]"
)
_SLASHES: Final = re.compile(r"[/\u2044\u2215\u29f8]")
_DOTS: Final = re.compile(r"[\u2024\u3002\ua4f8]")
_HOST: Final = r"(?:(?:[\w-]+\.)+[^\W\d_][\w-]+|(?:\d{1,3}\.){3}\d{1,3}|localhost)"
_AFTER_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:\s*//+\s*([^\s/?#\"'<>(),;]*)", re.IGNORECASE)
_ADDRESS_LIKE: Final = re.compile(rf"\s*((?:[\w.+-]+@)?{_HOST}(?::\d+)?)(?:[/?#]\S*)?\s*")


# A renderer of Markdown takes a blank line for the end of HTML, and what follows for Markdown.
_BLANK: Final = re.compile(r"\n(?=[ \t]*\n)")

_LONGEST_LABEL: Final = 500


class Html(str):
    """A string that is markup already."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Return ``text`` as markup that shows it."""
    if isinstance(text, Html):
        return text
    for char, entity in _SPECIAL.items():
        text = text.replace(char, entity)
    return Html(text)


def element(tag: str, *children: str, **attributes: str | None) -> Html:
    """Return an element; ``None`` leaves an attribute out, a trailing underscore is dropped."""
    words = [tag]
    for name, value in attributes.items():
        if value is not None:
            words.append(f'{name.rstrip("_")}="{escaped(value)}"' if value else name.rstrip("_"))
    return Html(f"<{' '.join(words)}>{''.join(map(escaped, children))}</{tag}>")


def joined(pieces: list[str], between: str = "") -> Html:
    """Return the pieces one after the other, each escaped unless it is markup."""
    return Html(escaped(between).join(map(escaped, pieces)))


def bar_style(left: float, width: float, colour: str) -> str:
    """Return the style of a bar, both in per cent of its scale; ``colour`` is ``#`` and 3 digits.

    What is so short that it would not be seen is 2 pixels wide.
    """
    left = min(max(left, 0.0), 100.0)
    return _BAR.format(left, min(max(width, 0.0), 100 - left), colour)


def is_style(value: str) -> bool:
    """Tell whether it is one of the styles that agentnb writes."""
    return value in STYLES or _BARS.fullmatch(value) is not None


def sanitized(markup: Html) -> Html:
    """Return ``markup`` with every element and attribute gone that agentnb does not write.

    No line of it is blank, so that it stays HTML within Markdown, as ``nbconvert`` writes it.
    """
    import nh3

    clean = nh3.clean(
        markup,
        tags=_TAGS,
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel=_REL,
    )
    return Html(_BLANK.sub("&#10;", clean))


def _attribute(tag: str, name: str, value: str) -> str | None:
    match name:
        case "href":
            return value if link_address(value) is not None else None
        case "start":
            return value if value.isascii() and value.isdigit() else None
        case "style":
            return value if is_style(value) else None
        case _:
            return value if value in _VALUES.get(name, ()) else None


class Address(NamedTuple):
    """Where a link goes: the attribute's value, and the host or mailbox that a reader sees."""

    href: str
    host: str


def link_address(url: str) -> Address | None:
    """Return the address of a link that may be followed: an absolute http, https or mailto one.

    A user name before the host is dropped, since it is there to look like the host.
    """
    if _FORBIDDEN_IN_ADDRESS.search(url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme == "mailto" and parts.path:
        return Address(url, parts.path)
    if parts.scheme not in ("http", "https") or not host:
        return None
    shown = f"[{host}]" if ":" in host else host
    if port is not None:
        shown += f":{port}"
    return Address(urlunsplit(parts._replace(netloc=shown)), shown)


def misleads(text: str, host: str) -> bool:
    """Tell whether a link's text names a host, and it is not the one that the link goes to."""
    # Nobody reads a longer text as an address.
    text = unicodedata.normalize("NFKC", text[:_LONGEST_LABEL])
    text = _DOTS.sub(".", _SLASHES.sub("/", text))
    # Text such as "report.pdf" within a sentence is not meant as a host; only addresses are.
    found = _AFTER_SCHEME.search(text) or _ADDRESS_LIKE.fullmatch(text)
    return found is not None and _plain_host(found[1]) != _plain_host(host)


def _plain_host(host: str) -> str:
    return re.sub(r":\d*$", "", host.lower().rstrip(".!")).removeprefix("www.").rstrip(".")


def link(address: Address, label: Html, text: str) -> Html:
    """Return a link; where its text names another host than it goes to, the real one follows."""
    made = element("a", label, href=address.href, target="_blank")
    if misleads(text, address.host):
        return joined([made, f" ({address.host})"])
    return made

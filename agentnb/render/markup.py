"""Build HTML that is safe by construction, and sanitize it by an allow-list all the same.

`element` escapes every string except the `Html` that it built itself, and `sanitized` removes
everything that agentnb does not write.  The allow-list holds what survives JupyterLab's sanitizer
in an untrusted notebook, and mostly GitHub's too.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

# MathJax skips elements of these classes; without them it makes formulas of prices.
WRAPPER_CLASS: Final = "agentnb-run mathjax_ignore tex2jax_ignore"


class Style(StrEnum):
    """Styles that JupyterLab's sanitizer keeps, readable on light and on dark backgrounds."""

    LEFT = "text-align:left"
    CENTER = "text-align:center"
    RIGHT = "text-align:right"
    FOLDED = "margin:.4em 0"
    # Jupyter indents a quote on both sides, too much for a narrow column.
    INDENTED = "margin:.5em 0 .5em .5em"
    MUTED = "opacity:.7"
    WRAPPED = "white-space:pre-wrap"
    # The sanitizer drops `anywhere` and `word-break:break-word`.
    BREAKING = "overflow-wrap:break-word"
    # Jupyter's style sheet sets headings in regular weight.
    HEADING = "font-weight:600"
    # Jupyter wraps `code` and paints it opaque, within `pre` too, so both elements need a style.
    BOX = "margin:.2em 0 1em;padding:.5em .8em;background:#8882;overflow-x:auto"
    CODE = "background:none;white-space:pre"
    DATA = "background:none;white-space:pre-wrap"
    ALERT = "margin:.5em 0;border-left:3px solid #d33;padding-left:.8em"
    PAUSE = "margin:.5em 0;border-left:3px solid #b70;padding-left:.8em"
    # Side by side, or below one another where there is no room.
    COLUMNS = "display:flex;flex-wrap:wrap;gap:0 1.5em"
    COLUMN = "flex:1 1 260px;min-width:0"
    SCROLLED = "overflow-x:auto"
    IMAGE = "max-width:100%"
    # A table whose second column is a scale; not every viewer has a fixed table layout.
    PLOT = "width:100%;max-width:48em;table-layout:fixed"
    PLOT_LABELS = "width:45%;text-align:left"


# A border, since backgrounds are not printed and not visible in forced colours.
_BAR_STYLE: Final = "margin-left:{:.1f}%;width:{:.1f}%;min-width:2px;border-top:6px solid {}"
_BAR_PATTERN: Final = re.compile(
    r"margin-left:\d{1,3}\.\d%;width:\d{1,3}\.\d%;min-width:2px;border-top:6px solid #[0-9a-f]{3}",
    re.ASCII,
)

_BLOCKS: Final = {
    *("blockquote", "details", "div", "h3", "h4", "h5", "h6", "hr", "p", "pre", "summary")
}
_LISTS: Final = {"li", "ol", "ul"}
_TABLES: Final = {"caption", "table", "tbody", "td", "th", "thead", "tr"}
_INLINE: Final = {"a", "br", "code", "em", "img", "s", "small", "span", "strong"}
_TAGS: Final = _BLOCKS | _LISTS | _TABLES | _INLINE
_REL: Final = "noopener noreferrer nofollow"
_ATTRIBUTES: Final = {
    "*": {"class", "style", "dir"},
    "a": {"href", "target"},
    "details": {"open"},
    "img": {"src", "alt"},
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

_IMAGE_DATA: Final = re.compile(
    r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}", re.IGNORECASE
)
_SPECIAL: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_FORBIDDEN_IN_ADDRESS: Final = re.compile(
    r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\]"
)
_SLASHES: Final = re.compile(r"[/\u2044\u2215\u29f8]")
_DOTS: Final = re.compile(r"[\u2024\u3002\ua4f8]")
_HOST: Final = r"(?:(?:[\w-]+\.)+[^\W\d_][\w-]+|(?:\d{1,3}\.){3}\d{1,3}|localhost)"
_AFTER_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:\s*//+\s*([^\s/?#\"'<>(),;]*)", re.IGNORECASE)
_ADDRESS_LIKE: Final = re.compile(rf"\s*((?:[\w.+-]+@)?{_HOST}(?::\d+)?)(?:[/?#]\S*)?\s*")


# In Markdown a blank line ends a block of HTML.
_BLANK: Final = re.compile(r"\n(?=[ \t]*\n)")

_MAX_LABEL: Final = 500


class Html(str):
    """A string of markup, which is not escaped again."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Return ``text`` as markup, escaped unless it is `Html`."""
    if isinstance(text, Html):
        return text
    for char, entity in _SPECIAL.items():
        text = text.replace(char, entity)
    return Html(text)


def element(tag: str, *children: str, **attributes: str | None) -> Html:
    """Return an element; attributes of None are omitted, trailing underscores dropped."""
    words = [tag]
    for name, value in attributes.items():
        if value is not None:
            words.append(f'{name.rstrip("_")}="{escaped(value)}"' if value else name.rstrip("_"))
    return Html(f"<{' '.join(words)}>{''.join(map(escaped, children))}</{tag}>")


def joined(pieces: list[str], between: str = "") -> Html:
    """Return the concatenated pieces, each escaped unless it is `Html`."""
    return Html(escaped(between).join(map(escaped, pieces)))


def bar_style(left: float, width: float, colour: str) -> str:
    """Return the style of a bar, with offset and width in percent and a colour as ``#rgb``.

    It is at least 2 pixels wide.
    """
    left = min(max(left, 0.0), 100.0)
    return _BAR_STYLE.format(left, min(max(width, 0.0), 100 - left), colour)


def is_style(value: str) -> bool:
    """Return whether agentnb writes this style."""
    return value in set(Style) or _BAR_PATTERN.fullmatch(value) is not None


def sanitized(markup: Html) -> Html:
    """Return ``markup`` without elements and attributes that agentnb does not write.

    No line is blank, so that it stays HTML within Markdown, as ``nbconvert`` writes it.
    """
    import nh3

    clean = nh3.clean(
        markup,
        tags=_TAGS,
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=_attribute,
        url_schemes={"data", "http", "https", "mailto"},
        link_rel=_REL,
    )
    return Html(_BLANK.sub("&#10;", clean))


def _attribute(tag: str, name: str, value: str) -> str | None:
    match name:
        case "href":
            return value if link_address(value) is not None else None
        case "src":
            return value if is_image(value) else None
        case "alt":
            return value
        case "start":
            return value if value.isascii() and value.isdigit() else None
        case "style":
            return value if is_style(value) else None
        case _:
            return value if value in _VALUES.get(name, ()) else None


def is_image(url: str) -> bool:
    """Return whether ``url`` has the content of a bitmap, so that displaying it loads nothing."""
    return _IMAGE_DATA.fullmatch(url) is not None


class Address(NamedTuple):
    """Target of a link: the attribute's value, and the host or mailbox to display."""

    href: str
    host: str


def link_address(url: str) -> Address | None:
    """Return the target of an absolute http, https or mailto link; None for any other.

    A user name before the host is dropped, since it may imitate a host.
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
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc += f":{port}"
    return Address(urlunsplit(parts._replace(netloc=netloc)), netloc)


def _is_misleading(text: str, host: str) -> bool:
    """Return whether a link's text names another host than it goes to."""
    text = unicodedata.normalize("NFKC", text[:_MAX_LABEL])
    text = _DOTS.sub(".", _SLASHES.sub("/", text))
    # Only addresses count: "report.pdf" within a sentence is no host.
    found = _AFTER_SCHEME.search(text) or _ADDRESS_LIKE.fullmatch(text)
    return found is not None and _plain_host(found[1]) != _plain_host(host)


def _plain_host(host: str) -> str:
    return re.sub(r":\d*$", "", host.lower().rstrip(".!")).removeprefix("www.").rstrip(".")


def link(address: Address, label: Html, text: str) -> Html:
    """Return a link, followed by its host if ``text``, its plain label, names another one."""
    anchor = element("a", label, href=address.href, target="_blank")
    if _is_misleading(text, address.host):
        return joined([anchor, f" ({address.host})"])
    return anchor

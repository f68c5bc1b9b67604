"""Tooltips that viewers of Vega display as text only.

The tooltip of a mark is an object.  JupyterLab's viewer writes its entry ``image`` unescaped into
an ``<img>`` and its entry ``title`` into a heading.  Vega-Lite 5 puts the title of an encoding into
the source of an expression as it is, so that a quote in it starts further entries.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final, cast

from agentnb.render.visible import one_line

_MARKUP_KEYS: Final = frozenset({"image", "title"})
_SEPARATORS: Final = re.compile(r"[\W_]+")
# In an expression a quote ends a string and a backslash starts an escape; these look alike.
_LOOKALIKES: Final = str.maketrans({'"': "\u201d", "\\": "\u29f5"})
_MAX_CHARS: Final = 200


def safe_title(text: str) -> str:
    """Return a title for an encoding that is safe as the key of an entry of a tooltip.

    One line without quotes and backslashes, and no key that is displayed as markup in any case,
    width or spacing: ``image`` becomes ``image (column)``.
    """
    line = one_line(text, _MAX_CHARS).translate(_LOOKALIKES)
    return f"{line} (column)" if _is_markup_key(line) else line


def with_safe_tooltips(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a Vega-Lite specification in which no key of a tooltip is displayed as markup.

    Titles of encodings become `safe_title`s.  If rows of data have such a key, a tooltip has
    the encodings instead of the whole row, and a single field becomes an entry.
    """
    return _cleaned(spec, in_rows=_has_markup_key(spec, is_data=False))


def _cleaned(spec: Any, name: str = "", *, in_rows: bool) -> Any:
    if isinstance(spec, list):
        return [_cleaned(value, name, in_rows=in_rows) for value in cast("list[Any]", spec)]
    if not isinstance(spec, dict):
        return spec
    parts = cast("dict[str, Any]", spec)
    if name == "tooltip" and parts.get("content") == "data" and in_rows:
        return {**parts, "content": "encoding"}
    copy = {
        key: value if _is_data(key) else _cleaned(value, key, in_rows=in_rows)
        for key, value in parts.items()
    }
    if name == "encoding":
        copy = {key: _channel(value) for key, value in copy.items()}
        if in_rows and isinstance(copy.get("tooltip"), dict):
            copy["tooltip"] = _as_entries(copy["tooltip"])
    return copy


def _as_entries(tooltip: dict[str, Any]) -> Any:
    """Return a tooltip of a single field, whose value may be an object, as a list of entries."""
    condition = tooltip.get("condition")
    if isinstance(condition, dict) and "field" in condition:
        fields = cast("dict[str, Any]", condition)
        tooltip = {name: fields[name] for name in fields.keys() - {"test", "param", "empty"}}
    return [tooltip] if "field" in tooltip else tooltip


def _channel(definition: Any) -> Any:
    """Return the definition of a channel with a safe title."""
    if isinstance(definition, list):
        return [_channel(value) for value in cast("list[Any]", definition)]
    if not isinstance(definition, dict):
        return definition
    copy = dict(cast("dict[str, Any]", definition))
    if "condition" in copy:
        copy["condition"] = _channel(copy["condition"])
    title, field = copy.get("title"), copy.get("field")
    if isinstance(title, list):
        title = ", ".join(map(str, cast("list[Any]", title)))
    if title:
        copy["title"] = safe_title(str(title))
    elif isinstance(field, str) and safe_title(field) != field:
        # Without a title the name of the field is the key.
        copy["title"] = safe_title(field)
    return copy


def _has_markup_key(value: Any, *, is_data: bool) -> bool:
    if isinstance(value, list):
        return any(_has_markup_key(item, is_data=is_data) for item in cast("list[Any]", value))
    if not isinstance(value, dict):
        return False
    return any(
        (is_data and _is_markup_key(name))
        or (name == "as" and any(map(_is_markup_key, _listed(item))))
        or _has_markup_key(item, is_data=is_data or _is_data(name))
        for name, item in cast("dict[str, Any]", value).items()
    )


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _is_data(name: str) -> bool:
    return name in ("datasets", "values")


def _is_markup_key(text: Any) -> bool:
    plain = unicodedata.normalize("NFKC", str(text)).casefold()
    # An entry `__proto__` whose value is an object would give the tooltip that object's entries.
    return plain.strip() == "__proto__" or _SEPARATORS.sub("", plain) in _MARKUP_KEYS

"""Colours, sizes and parts that all charts share, and their display in notebooks."""

from __future__ import annotations

import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterable, Sized
from itertools import cycle
from typing import Any, Final, NamedTuple, cast

import altair as alt

from agentnb._support import install_hint
from agentnb._support.text import control_signs
from agentnb.charts._tooltips import with_safe_tooltips
from agentnb.errors import ConfigError
from agentnb.render.visible import one_line

WIDTH: Final = 520
HEIGHT: Final = 260
#: Height of one of several bars, in pixels.
ROW_HEIGHT: Final = 24
#: Width of a label beside a bar, in pixels; Vega truncates longer ones.
LABEL_WIDTH: Final = 180
_MAX_INTEGER_TICKS: Final = 8

# Distinguishable with colour blindness, too, on white and on black.
_PALETTE: Final = (
    "#4e79a7",
    "#f28e2b",
    "#59a14f",
    "#e15759",
    "#b07aa1",
    "#edc948",
    "#76b7b2",
    "#9c755f",
    "#ff9da7",
    "#6b6ecf",
)
NEUTRAL_COLOUR: Final = "#9a9a9a"
OK_COLOUR: Final = _PALETTE[0]
FAILED_COLOUR: Final = "#d9534f"
#: Text inside a chart, which themes do not colour; legible on white and on black.
NOTE_COLOUR: Final = "#7a7a7a"

# The type that JupyterLab, Notebook 7 and VS Code draw.  Charts use features of version 5 only.
_MIME: Final = "application/vnd.vegalite.v5+json"
_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"


class _Displayed:
    """Mixin that displays a chart with the frontend's own Vega, which needs no network.

    Altair's default is HTML that loads Vega from a public server, which many networks do not
    allow.  A renderer that the user enabled is used instead.
    """

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        chart = cast("Any", self)
        if alt.renderers.active != "default" or alt.data_transformers.active != "default":
            altairs: Any = super()
            return altairs._repr_mimebundle_(*args, **kwargs)
        spec = chart.to_dict()
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        # For viewers that do not draw.  Without one, JupyterLab adds its own and so changes a
        # notebook that was only opened.
        metadata: dict[str, Any] = {}
        if (picture := render_png(spec)) is not None:
            bundle["image/png"] = b64encode(picture.png).decode("ascii")
            metadata["image/png"] = {"width": picture.width, "height": picture.height}
        spec["$schema"] = _SCHEMA
        spec.setdefault("background", "transparent")
        bundle[_MIME] = spec
        return bundle, metadata

    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return Altair's specification with drawable texts and without markup in tooltips."""
        altairs: Any = super()
        return with_safe_tooltips(drawable(altairs.to_dict(*args, **kwargs)))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the chart to a file as Altair does.

        Raises:
            ConfigError: vl-convert, which renders PNG, SVG and PDF, is not installed.
        """
        altairs: Any = super()
        try:
            altairs.save(*args, **kwargs)
        except ValueError as error:
            # Altair's message does not name the extra.
            if "vl-convert" not in str(error):
                raise
            raise ConfigError(
                "Charts are saved as pictures or PDF by vl-convert, which is not installed.",
                hint=f"Install it: {install_hint('charts')}",
            ) from error

    def __add__(self, other: Any) -> LayerChart:
        return _as_ours(alt.layer(cast("Any", self), other))

    def __or__(self, other: Any) -> HConcatChart:
        return _concatenated(alt.hconcat(cast("Any", self), other))

    def __and__(self, other: Any) -> VConcatChart:
        return _concatenated(alt.vconcat(cast("Any", self), other))

    def __repr__(self) -> str:
        title = cast("Any", self).title
        text = title if isinstance(title, str) else getattr(title, "text", None)
        return f"<Chart {one_line(text)}>" if isinstance(text, str) and text else "<Chart>"


class Chart(_Displayed, alt.Chart): ...


class LayerChart(_Displayed, alt.LayerChart): ...


class HConcatChart(_Displayed, alt.HConcatChart): ...


class VConcatChart(_Displayed, alt.VConcatChart): ...


_CLASSES: Final[dict[type, type]] = {
    alt.Chart: Chart,
    alt.LayerChart: LayerChart,
    alt.HConcatChart: HConcatChart,
    alt.VConcatChart: VConcatChart,
}


def _as_ours(chart: Any) -> Any:
    """Change the class of a new chart of Altair to ours."""
    # Altair's own `__setattr__` would add it to the specification.
    object.__setattr__(chart, "__class__", _CLASSES[type(chart)])
    return chart


def _concatenated(chart: Any) -> Any:
    # A shared scale would distribute its colours and marks over both charts.
    return _as_ours(
        chart.resolve_scale(color="independent", shape="independent", size="independent")
    )


def axis(**options: Any) -> alt.Axis:
    """Return an axis with a faint grid, since a dark theme's is bright."""
    return alt.Axis(gridOpacity=0.45, **options)


def counts_axis(number_format: str, largest: float, **options: Any) -> alt.Axis:
    """Return an axis of amounts; of a small count with integer ticks, which Vega would divide."""
    is_small_count = number_format == ",d" and largest <= _MAX_INTEGER_TICKS
    ticks: Any = list(range(int(largest) + 1)) if is_small_count else alt.Undefined
    return axis(format=number_format, values=ticks, **options)


def colour(field: str, colours: dict[str, str], **options: Any) -> alt.Color:
    """Return the colours of named groups, by default with a legend above the chart."""
    legend = alt.Legend(
        orient="top", direction="horizontal", columns=4, labelLimit=220, symbolStrokeWidth=0
    )
    options = {"title": None, "legend": legend, **options}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(field, scale=scale, **options)


def left_out(rows: Sized, known: Sized, text: str) -> str:
    """Return a note on the ``rows`` that are not ``known``, or ""."""
    missing = len(rows) - len(known)
    return f"{missing:,} of {len(rows):,} {text} and are left out." * bool(missing)


def layered(*parts: alt.Chart | alt.LayerChart, **properties: Any) -> LayerChart:
    """Return a layered chart."""
    return _as_ours(alt.layer(*parts).properties(**{"width": WIDTH, **properties}))


def title(text: str, *notes: str) -> alt.TitleParams:
    """Return a title with ``notes``, except empty ones, below it."""
    lines = [note for note in notes if note]
    return alt.TitleParams(
        text=text,
        subtitle=lines or alt.Undefined,
        anchor="start",
        frame="group",
        subtitleColor=NOTE_COLOUR,
        offset=10,
    )


def palette(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name; the groups "unknown" and "other" are grey."""
    colours = cycle(_PALETTE)
    return {
        name: NEUTRAL_COLOUR if name == "unknown" or name.startswith("other (") else next(colours)
        for name in names
    }


def empty(
    note: str, *, x: str, y: str, heading: str, width: int = WIDTH, height: int = HEIGHT
) -> LayerChart:
    """Return a chart without rows: axes with ``note`` in the middle."""
    rows = alt.Data(values=[{"note": note}])
    axes = (
        alt.Chart(rows)
        .mark_point(opacity=0)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(domain=[0, 1]), axis=axis(labels=False)),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(domain=[0, 1]), axis=axis(labels=False)),
        )
    )
    text = (
        alt.Chart(rows)
        .mark_text(color=NOTE_COLOUR, fontSize=14)
        .encode(
            text="note:N", x=alt.value(alt.expr("width / 2")), y=alt.value(alt.expr("height / 2"))
        )
    )
    return layered(axes, text, title=title(heading), width=width, height=height)


_SCALE: Final = 1.5  # sharp enough on most screens
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# Besides most control characters, not allowed in XML even if escaped.
_NO_XML: Final = re.compile("[\ufffe\uffff]")


class Picture(NamedTuple):
    """A PNG and its size in CSS pixels."""

    png: bytes
    width: int
    height: int


def drawable(spec: Any) -> Any:
    """Return a specification without characters that cannot be drawn.

    vl-convert draws text as SVG, and ends the process on text that is no XML.
    """
    match spec:
        case str():
            return spec if spec.isprintable() else _NO_XML.sub("\ufffd", control_signs(spec))
        case dict():
            items = cast("dict[str, Any]", spec).items()
            return {drawable(key): drawable(value) for key, value in items}
        case list() | tuple():
            return [drawable(value) for value in cast("list[Any]", spec)]
        case _:
            return spec


def render_png(spec: dict[str, Any]) -> Picture | None:
    """Return the chart as PNG, None where vl-convert is missing or cannot draw it."""
    try:
        import vl_convert
    except ImportError:
        return None
    try:
        png: bytes = cast("Any", vl_convert).vegalite_to_png(spec, scale=_SCALE)
    except ValueError:
        # The frontend may still draw the chart.
        return None
    width, height = struct.unpack_from(">II", png, len(_SIGNATURE) + 8)
    return Picture(recompress(png), round(width / _SCALE), round(height / _SCALE))


def recompress(png: bytes) -> bytes:
    """Return the same picture, compressed to about a seventh.

    vl-convert compresses for speed, and a notebook keeps the picture.
    """
    before: list[bytes] = []
    data: list[bytes] = []
    after: list[bytes] = []
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        chunk = png[at : at + 12 + length]
        if chunk[4:8] == b"IDAT":
            data.append(chunk[8:-4])
        else:
            (after if data else before).append(chunk)
        at += len(chunk)
    content = b"IDAT" + zlib.compress(zlib.decompress(b"".join(data)), 9)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return b"".join([_SIGNATURE, *before, chunk, *after])

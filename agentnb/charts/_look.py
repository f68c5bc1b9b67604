"""What all charts have in common: colours, sizes, how a notebook shows them, and having no rows."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final, cast

import altair as alt

from agentnb._support.installing import install_hint
from agentnb.charts._image import drawable, image
from agentnb.charts._tooltips import with_safe_tooltips
from agentnb.errors import ConfigError
from agentnb.render.visible import one_line

__all__ = [
    "FAILED",
    "FINE",
    "HEIGHT",
    "LABEL",
    "NEUTRAL",
    "NOTE",
    "ROW",
    "WIDTH",
    "Chart",
    "LayerChart",
    "axis",
    "colours",
    "empty",
    "layers",
    "legend",
    "title",
    "whole",
]

WIDTH: Final = 520
HEIGHT: Final = 260
ROW: Final = 24  # the height of one bar of several
LABEL: Final = 180  # the width of a name beside a bar, in pixels; a longer one is cut
_FEW: Final = 8

# Ten that are told apart, also without red or green, on white and on black.
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
NEUTRAL: Final = "#9a9a9a"
FINE: Final = _PALETTE[0]
FAILED: Final = "#d9534f"
#: Text inside a chart: the theme colours axes and titles only, so this must do on both.
NOTE: Final = "#7a7a7a"

# What JupyterLab, Notebook 7 and VS Code draw by themselves.  The charts use nothing that came
# after version 5.
_MIME: Final = "application/vnd.vegalite.v5+json"
_SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"


class _Shown:
    """How a notebook shows a chart: with the frontend's own Vega, which needs no network.

    Altair's default is HTML that loads Vega from a public server, which many networks do not
    allow.  A renderer that the user enabled comes first.
    """

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> Any:
        chart = cast("Any", self)
        if alt.renderers.active != "default" or alt.data_transformers.active != "default":
            altairs: Any = super()
            return altairs._repr_mimebundle_(*args, **kwargs)
        spec = chart.to_dict()
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        # For what shows a notebook without drawing it.  Where there is none, JupyterLab adds its
        # own, and a notebook that was only looked at has changed.
        metadata: dict[str, Any] = {}
        if (picture := image(spec)) is not None:
            bundle["image/png"] = b64encode(picture.png).decode("ascii")
            metadata["image/png"] = {"width": picture.width, "height": picture.height}
        spec["$schema"] = _SCHEMA
        # The page's own colour shines through, except where the user set another.
        spec.setdefault("background", "transparent")
        bundle[_MIME] = spec
        return bundle, metadata

    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the specification as Altair makes it, of texts that can be drawn.

        No key of a tooltip in it is one that a viewer shows as markup.
        """
        altairs: Any = super()
        return with_safe_tooltips(drawable(altairs.to_dict(*args, **kwargs)))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the chart to a file as Altair does.

        Raises:
            ConfigError: vl-convert, which makes pictures and PDF, is not installed.
        """
        altairs: Any = super()
        try:
            altairs.save(*args, **kwargs)
        except ValueError as error:
            # Altair's own words for it, which name no extra.
            if "vl-convert" not in str(error):
                raise
            raise ConfigError(
                "Charts are saved as pictures or PDF by vl-convert, which is not installed.",
                hint=f"Install it: {install_hint('charts')}",
            ) from error

    def __add__(self, other: Any) -> LayerChart:
        return _adopted(alt.layer(cast("Any", self), other))

    def __or__(self, other: Any) -> HConcatChart:
        return _beside(alt.hconcat(cast("Any", self), other))

    def __and__(self, other: Any) -> VConcatChart:
        return _beside(alt.vconcat(cast("Any", self), other))

    def __repr__(self) -> str:
        described = cast("Any", self).title
        text = described if isinstance(described, str) else getattr(described, "text", None)
        return f"<Chart {one_line(text)}>" if isinstance(text, str) and text else "<Chart>"


class Chart(_Shown, alt.Chart): ...


class LayerChart(_Shown, alt.LayerChart): ...


class HConcatChart(_Shown, alt.HConcatChart): ...


class VConcatChart(_Shown, alt.VConcatChart): ...


_CLASSES: Final[dict[type, type]] = {
    alt.Chart: Chart,
    alt.LayerChart: LayerChart,
    alt.HConcatChart: HConcatChart,
    alt.VConcatChart: VConcatChart,
}


def _adopted(chart: Any) -> Any:
    """Make a chart that Altair built one of ours; it is new, and nobody else's yet."""
    # Altair's objects take any attribute for a part of the specification.
    object.__setattr__(chart, "__class__", _CLASSES[type(chart)])
    return chart


def _beside(chart: Any) -> Any:
    # One scale for both would give their parts colours and marks in turn.
    return _adopted(
        chart.resolve_scale(color="independent", shape="independent", size="independent")
    )


def axis(**more: Any) -> alt.Axis:
    """Return an axis whose lines stand back; a dark theme's are bright."""
    return alt.Axis(gridOpacity=0.45, **more)


def whole(most: float) -> Any:
    """Return the labels of an axis of few things, which are not to be divided."""
    return list(range(int(most) + 1)) if most <= _FEW else alt.Undefined


def legend(*, columns: int = 4) -> alt.Legend:
    """Return a legend of few names, above the chart, where it does not take from its width."""
    return alt.Legend(
        orient="top", direction="horizontal", columns=columns, labelLimit=220, symbolStrokeWidth=0
    )


def layers(*parts: alt.Chart | alt.LayerChart, **properties: Any) -> LayerChart:
    """Return the parts above each other."""
    return _adopted(alt.layer(*parts).properties(**properties))


def title(text: str, *notes: str) -> alt.TitleParams:
    """Return a title with what is to be known about it below."""
    said = [note for note in notes if note]
    return alt.TitleParams(
        text=text,
        subtitle=said or alt.Undefined,
        anchor="start",
        frame="group",
        subtitleColor=NOTE,
        offset=10,
    )


def colours(names: Sequence[str]) -> list[str]:
    """Return a colour for each name; whatever is many, or unknown, is grey."""
    found: list[str] = []
    used = 0
    for name in names:
        if name == "unknown" or name.startswith("other ("):
            found.append(NEUTRAL)
        else:
            found.append(_PALETTE[used % len(_PALETTE)])
            used += 1
    return found


def empty(
    note: str, *, x: str, y: str, heading: str, width: int = WIDTH, height: int = HEIGHT
) -> LayerChart:
    """Return a chart without rows: its axes, and ``note`` in the middle."""
    rows = alt.Data(values=[{"note": note}])
    axes = (
        alt.Chart(rows)
        .mark_point(opacity=0)
        .encode(
            x=alt.X("x:Q", title=x, scale=alt.Scale(domain=[0, 1]), axis=axis(labels=False)),
            y=alt.Y("y:Q", title=y, scale=alt.Scale(domain=[0, 1]), axis=axis(labels=False)),
        )
    )
    said = (
        alt.Chart(rows)
        .mark_text(color=NOTE, fontSize=14)
        .encode(
            text="note:N", x=alt.value(alt.expr("width / 2")), y=alt.value(alt.expr("height / 2"))
        )
    )
    return layers(axes, said, title=title(heading), width=width, height=height)

"""How a notebook shows a chart, and what it costs to have charts at all."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from agentnb import charts
from agentnb.charts._style import recompress
from agentnb.errors import ConfigError
from tests.charts import tables

MIME = "application/vnd.vegalite.v5+json"


@pytest.fixture
def renderers() -> Iterator[Any]:
    """Altair's own setting, set back afterwards."""
    before = alt.renderers.active
    yield alt.renderers
    alt.renderers.enable(before)


def bundle(chart: Any) -> dict[str, Any]:
    return chart._repr_mimebundle_()[0]


def test_the_frontend_draws_it_by_itself() -> None:
    shown = bundle(charts.usage(tables.runs(10)))
    assert set(shown) == {MIME, "image/png", "text/plain"}
    spec = shown[MIME]
    assert spec["$schema"].endswith("/v5.json")
    assert spec["background"] == "transparent"
    assert "url" not in json.dumps({**spec, "$schema": None})
    assert shown["text/plain"] == "<Chart Tokens by day and agent>"


def test_a_picture_for_viewers_that_cannot_draw() -> None:
    chart: Any = charts.cost(tables.runs(10))
    png = b64decode(bundle(chart)["image/png"])
    assert png.startswith(b"\x89PNG")
    assert len(png) < 40_000
    # It is sharper than it is large.
    size = chart._repr_mimebundle_()[1]["image/png"]
    assert int.from_bytes(png[16:20]) == pytest.approx(1.5 * size["width"], abs=1)
    assert int.from_bytes(png[20:24]) == pytest.approx(1.5 * size["height"], abs=1)


def test_a_picture_is_packed_without_loss() -> None:
    import vl_convert

    vega: Any = vl_convert
    png: bytes = vega.vegalite_to_png(charts.latency(tables.runs(100)).to_dict())
    small = recompress(png)
    assert len(small) < len(png) / 2
    assert recompress(small) == small
    assert small[:33] == png[:33]


def test_a_background_of_the_users_own() -> None:
    chart = charts.usage(tables.runs(3)).properties(background="#ffeecc")
    assert bundle(chart)[MIME]["background"] == "#ffeecc"


def test_combined_charts_are_displayed_alike() -> None:
    one, other = charts.usage(tables.runs(3)), charts.cost(tables.runs(3))
    for chart in (one + one, other + other, one | other, other & one, (one | other) & one):
        assert MIME in bundle(chart)
    assert MIME in bundle(one.interactive().properties(width=300))


def test_the_repr_is_the_title() -> None:
    chart = charts.cost(tables.runs(3))
    assert repr(chart) == "<Chart Cost by agent>"
    assert repr(chart.properties(title="Mine")) == "<Chart Mine>"
    assert repr(chart & chart) == "<Chart>"


def test_a_renderer_that_the_user_chose_comes_first(renderers: Any) -> None:
    chart: Any = charts.usage(tables.runs(3))
    renderers.enable("mimetype")
    assert MIME not in chart._repr_mimebundle_()
    renderers.enable("html")
    assert "text/html" in chart._repr_mimebundle_()


def test_altairs_settings_are_left_alone() -> None:
    before = (alt.renderers.active, alt.data_transformers.active, alt.theme.active)
    bundle(charts.latency(tables.runs(3)))
    assert (alt.renderers.active, alt.data_transformers.active, alt.theme.active) == before


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout.strip()


def test_altair_is_imported_with_the_first_chart() -> None:
    code = "import sys, agentnb, agentnb.charts; print({'altair', 'pandas'} & set(sys.modules))"
    assert python(code) == "set()"


def test_without_altair_the_error_names_the_extra() -> None:
    code = """if True:
        import sys
        sys.modules["altair"] = None
        from agentnb import charts, errors
        try:
            charts.usage
        except errors.ConfigError as error:
            print(error)
        """
    assert python(code).endswith("Install it: pip install 'jupyter-agentnb[charts]'")


@pytest.mark.parametrize("name", ["chart.png", "chart.svg", "chart.pdf"])
def test_without_vl_convert_the_error_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ConfigError, match=r"pip install 'jupyter-agentnb\[charts\]'"):
        charts.usage(tables.runs(2)).save(str(tmp_path / name))


def test_without_vl_convert_there_is_no_picture() -> None:
    code = """if True:
        import sys
        sys.modules["vl_convert"] = None
        from agentnb import charts
        from tests.charts import tables
        print(sorted(charts.usage(tables.runs(2))._repr_mimebundle_()[0]))
        """
    assert python(code) == "['application/vnd.vegalite.v5+json', 'text/plain']"


def test_names_are_listed_and_others_are_none() -> None:
    assert set(charts.__all__) == set(dir(charts))
    assert not hasattr(charts, "pie")

"""Tooltips of charts, compiled by Vega-Lite itself: no key that a viewer shows as markup."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import altair as alt
import pandas as pd
import pytest
import vl_convert

from agentnb import charts
from agentnb.charts._tooltips import safe_title
from tests.charts import tables

INJECTED = 'x", "image": datum["name"], "y'
TITLES = [
    *("image", "title", "Image", " image ", "ima\\u0067e", "im\\x61ge", "\uff49mage", "i_mage"),
    *(INJECTED, INJECTED.replace('"', '\\"'), "a.image", "image[0]", "a\nimage", "__proto__"),
    *("image\x00", "\u200bimage", "<b>", "x" * 10_000),
]
# A string of an expression, with its escapes.
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:')


CHARTS: dict[str, Any] = {
    "usage": charts.usage,
    "cost": charts.cost,
    "latency": charts.latency,
    "time_to_first_token": charts.time_to_first_token,
}


def by_column(chart: str, name: str, rows: int = 6) -> Any:
    runs = tables.runs(6).assign(**{name: 'x" onerror="alert(1)'})
    return CHARTS[chart](runs[:rows], by=name)


def tooltips(chart: Any) -> Iterator[str]:
    """Yield the expression of each tooltip in the Vega that is made of a chart."""
    vega: Any = vl_convert
    for version in ("5.8", "6.4"):
        spec = {**chart.to_dict(), "$schema": "https://vega.github.io/schema/vega-lite/v5.json"}
        yield from _tooltips(vega.vegalite_to_vega(spec, vl_version=version))


def _tooltips(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for value in cast("list[Any]", part):
            yield from _tooltips(value)
    elif isinstance(part, dict):
        for name, value in cast("dict[str, Any]", part).items():
            if name == "tooltip":
                yield json.dumps(value) if "signal" not in value else value["signal"]
            else:
                yield from _tooltips(value)


def check(chart: Any) -> None:
    for expression in tooltips(chart):
        # Neither a whole row, nor a single value that may be an object.
        assert expression.startswith("{")
        keys = [json.loads(f'"{key}"') for key in STRING.findall(expression)]
        assert not {"image", "title", "__proto__"} & set(keys), expression


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("name", TITLES, ids=range(len(TITLES)))
def test_no_column_is_a_key_of_markup(name: str, chart: str) -> None:
    check(by_column(chart, name))
    check(by_column(chart, name, rows=0))


@pytest.mark.parametrize("name", ["image", INJECTED])
def test_nor_where_a_chart_is_repeated_by_altair(name: str) -> None:
    check(by_column("usage", name).facet("name:N"))


@pytest.mark.parametrize("title", TITLES, ids=range(len(TITLES)))
def test_a_title_is_one_entry_and_never_markup(title: str) -> None:
    made = safe_title(title)
    assert not set('"\\\n') & set(made)
    assert safe_title(made) == made
    assert made.lower() not in ("image", "title", "__proto__")


def test_other_titles_stay() -> None:
    for title in ("Agent", "Cost (USD)", "image_size", "Job title", "größe", "Images"):
        assert safe_title(title) == title


@pytest.mark.parametrize(
    "change",
    [
        {"tooltip": ["image:N", "title:N"]},
        {"tooltip": "image:N"},
        {"tooltip": alt.Tooltip("image:N", title="title")},
        {"tooltip": alt.Tooltip("image:N", title=["image"])},
        {"tooltip": alt.Tooltip("image:N", title="")},
        {"tooltip": alt.condition("datum.x", alt.Tooltip("image:N"), alt.value("a"))},
        {"color": alt.Color("image:N"), "tooltip": alt.Undefined},
    ],
    ids=range(7),
)
@pytest.mark.parametrize("mark", [{"content": "data"}, {"content": "encoding"}, True], ids=str)
def test_nor_is_one_that_a_user_adds(change: dict[str, Any], mark: Any) -> None:
    rows = pd.DataFrame({"image": [{"image": 'x" onerror="alert(1)'}], "title": ["b"], "x": [1]})
    added = alt.Chart(rows).mark_point(tooltip=mark).encode(x="x:Q", **change)
    check(charts.usage(tables.runs(3)) + added)
    check(charts.usage(tables.runs(3)) | added)


def test_data_that_have_no_such_key_stay_whole_in_a_tooltip() -> None:
    added = alt.Chart(pd.DataFrame({"x": [1]})).mark_point(tooltip={"content": "data"})
    assert "datum" in set(tooltips(charts.usage(tables.runs(3)) + added.encode(x="x:Q")))


@pytest.mark.parametrize("name", CHARTS)
def test_no_chart_links_or_loads(name: str) -> None:
    told = json.dumps(by_column(name, "https://attacker.example/x").to_dict())
    assert not re.search(r'"(href|url|usermeta|description)"', told)

"""The figures that the charts draw are those of the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from agentnb import agent, charts
from agentnb.errors import RequestError
from agentnb.event.types import ApprovalRequested, Event, ReasoningDelta, TextDelta, ToolCallStarted
from tests.charts import tables


def rows(chart: Any, *columns: str) -> list[dict[str, Any]]:
    """Return what a chart draws: the first of its tables that has these columns."""
    for found in chart.to_dict()["datasets"].values():
        if set(columns) <= set(found[0]):
            return found
    raise AssertionError(f"no table with {columns}")


def at(moment: str, **values: Any) -> pd.DataFrame:
    return tables.runs(1, **values).assign(started_at=pd.Timestamp(moment))


# -- over time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freq", "begin"),
    [
        ("minute", "2026-11-22T10:41:00+00:00"),
        ("hour", "2026-11-22T10:00:00+00:00"),
        ("day", "2026-11-22T00:00:00+00:00"),
        ("week", "2026-11-16T00:00:00+00:00"),
        ("month", "2026-11-01T00:00:00+00:00"),
    ],
)
def test_periods_begin(freq: Any, begin: str) -> None:
    chart = charts.usage(at("2026-11-22T10:41:59Z"), freq=freq)
    assert [row["begin"] for row in rows(chart, "begin")] == [begin]


def test_amounts_are_added_up_by_period_and_agent() -> None:
    table = tables.runs(500)
    found = {
        (row["begin"][:10], row["name"]): row["amount"]
        for row in rows(charts.usage(table), "amount")
    }
    expected: dict[tuple[str, str], float] = {}
    for started, name, tokens in zip(
        table["started_at"], table["agent"], table["total_tokens"], strict=True
    ):
        key = (f"{started:%Y-%m-%d}", str(name))
        expected[key] = expected.get(key, 0) + float(tokens)
    assert found == expected


def test_days_are_those_of_the_tables_time_zone() -> None:
    table = tables.runs(1)
    table["started_at"] = table["started_at"].dt.tz_convert(ZoneInfo("Europe/Berlin"))
    chart = charts.usage(table)
    # Half past ten in the evening in UTC is half past midnight there.
    assert rows(chart, "begin")[0]["begin"].startswith("2026-10-21T00:00")
    assert chart.to_dict()["encoding"]["x"]["title"] == "Day (Europe/Berlin)"


def test_a_day_on_which_clocks_change() -> None:
    moments = pd.Series(pd.date_range("2026-10-25T00:15", periods=4, freq="30min", tz="UTC"))
    table = tables.runs(4).assign(started_at=moments.dt.tz_convert(ZoneInfo("Europe/Berlin")))
    assert sum(row["amount"] for row in rows(charts.usage(table, value="runs"), "amount")) == 4


def test_too_many_bars_become_longer_periods() -> None:
    chart = charts.usage(tables.runs(500, hours=1), freq="hour")
    spec = chart.to_dict()
    assert spec["encoding"]["x"]["title"] == "Day (UTC)"
    assert spec["title"]["subtitle"] == ["By day, because there are more than 240 hours."]


@pytest.mark.parametrize("freq", ["minute", "hour", "day", "week", "month"])
@pytest.mark.parametrize("hours", [0.001, 0.2, 1, 30, 2000, 20_000])
def test_few_bars_far_apart_can_be_drawn(freq: Any, hours: float) -> None:
    chart = charts.usage(tables.runs(3, hours=hours), freq=freq, value="runs")
    target = BytesIO()
    chart.save(target, format="png")
    assert target.getvalue()


def test_labels_of_weeks_are_mondays() -> None:
    spec = charts.usage(tables.runs(60, hours=24), freq="week").to_dict()
    labels = [
        datetime.fromtimestamp(value / 1000, UTC)
        for value in spec["encoding"]["x"]["axis"]["values"]
    ]
    assert len(labels) > 3
    assert {label.weekday() for label in labels} == {0}


def test_few_things_are_not_divided() -> None:
    spec = charts.tools(tables.tool_calls(1)).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["axis"]["values"] == [0, 1]


def test_runs_that_report_none_are_counted() -> None:
    table = tables.runs(10)
    table.loc[:3, "total_tokens"] = pd.NA
    spec = charts.usage(table).to_dict()
    assert spec["title"]["subtitle"] == ["4 of 10 rows report none and are left out."]


def test_the_biggest_ten_and_the_others() -> None:
    spec = charts.usage(tables.runs(600, agents=30), value="runs").to_dict()
    names = spec["encoding"]["color"]["scale"]["domain"]
    assert len(names) == 11
    assert names[-1] == "other (20)"
    assert len(set(spec["encoding"]["color"]["scale"]["range"])) == 11


def test_runs_without_an_agent_are_unknown() -> None:
    table = tables.runs(4)
    table.loc[0, "agent"] = None
    assert "unknown" in {row["name"] for row in rows(charts.usage(table), "name")}


def test_a_table_of_usage_by_period() -> None:
    table = pd.DataFrame(
        {
            "agent": ["a", "b"],
            "day": pd.to_datetime(["2026-11-01T00:00Z", "2026-11-02T00:00Z"]),
            "runs": pd.array([3, 4], dtype="Int64"),
            "cost_usd": pd.array([0.5, None], dtype="Float64"),
        }
    )
    found = rows(charts.usage(table, value="runs"), "amount")
    assert [(row["name"], row["amount"]) for row in found] == [("a", 3), ("b", 4)]
    assert [row["amount"] for row in rows(charts.usage(table, value="cost"), "amount")] == [0.5]
    assert [row["amount"] for row in rows(charts.cost(table), "amount", "part")] == [0.5]


def test_options_that_are_unknown() -> None:
    with pytest.raises(RequestError, match="no period 'year'"):
        charts.usage(tables.runs(1), freq="year")  # pyright: ignore[reportArgumentType]
    with pytest.raises(RequestError, match="cannot add up 'beauty'"):
        charts.usage(tables.runs(1), value="beauty")
    with pytest.raises(RequestError, match="needs the column 'colour'"):
        charts.cost(tables.runs(1), by="colour")
    with pytest.raises(RequestError, match="cannot draw 'sizes'"):
        charts.tools(tables.tool_calls(1), value="sizes")  # pyright: ignore[reportArgumentType]


# -- side by side --------------------------------------------------------------------------------


def test_cost_by_source() -> None:
    found = rows(charts.cost(tables.runs(2, agents=1)), "amount", "part")
    assert {row["part"]: row["amount"] for row in found} == {
        "reported by the platform": 0.001,
        "computed from prices": 0.002,
    }


def test_only_the_most_expensive_are_drawn() -> None:
    chart = charts.cost(tables.runs(600, agents=30))
    assert len({row["name"] for row in rows(chart, "amount", "part")}) == 20
    assert "The 20 biggest of 30." in chart.to_dict()["title"]["subtitle"]


def test_errors_without_a_class_stand_under_their_status() -> None:
    table = tables.runs(30)
    table["status"] = table["status"].cat.add_categories(["truncated", "cancelled"])
    table.loc[0, "status"] = "truncated"
    table.loc[1, "status"] = "cancelled"
    found = {row["name"]: row["amount"] for row in rows(charts.errors(table), "amount", "part")}
    assert found == {
        "RateLimitError": 1,
        "ServerError": 1,
        "failed, no class": 1,
        "truncated, no class": 1,
    }


def test_errors_of_the_platform_stand_under_its_code() -> None:
    table = tables.runs(1, status="failed", error_class=None, error_code="OVERLOADED")
    assert [row["name"] for row in rows(charts.errors(table), "amount", "part")] == ["OVERLOADED"]


def test_long_names_keep_their_ends() -> None:
    names = {row["name"] for row in rows(charts.cost(tables.runs(20), by="session"), "name")}
    assert len(names) == 20
    assert all(len(name) <= 28 for name in names)


# -- durations -----------------------------------------------------------------------------------


def test_quantiles_are_those_of_all_runs() -> None:
    table = tables.runs(5000, agents=1)
    (found,) = rows(charts.latency(table), "p25")
    taken = table["duration"].dt.total_seconds()
    assert found["runs"] == 5000
    assert found["p50 (median)"] == pytest.approx(taken.median())
    assert found["p95"] == pytest.approx(taken.quantile(0.95))
    assert len(rows(charts.latency(table), "seconds")) == 120


def test_a_duration_of_nothing_has_its_place_on_the_axis() -> None:
    table = tables.runs(2, duration=timedelta(0))
    spec = charts.latency(table).to_dict()
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"][0] > 0
    assert {row["seconds"] for row in rows(charts.latency(table), "seconds")} == {0.001}


@pytest.mark.parametrize("seconds", [0.001, 0.02, 1, 10, 3600, 1_000_000])
def test_every_axis_has_labels(seconds: float) -> None:
    table = tables.runs(1, duration=timedelta(seconds=seconds))
    x = charts.latency(table).to_dict()["layer"][0]["encoding"]["x"]
    low, high = x["scale"]["domain"]
    assert low < seconds < high
    assert len(x["axis"]["values"]) >= 4
    assert all(low <= value <= high for value in x["axis"]["values"])


# -- one run -------------------------------------------------------------------------------------


def lanes(chart: Any) -> list[tuple[str, str]]:
    return [(row["lane"], row["what"]) for row in rows(chart, "lane")]


def test_the_timeline_of_a_run() -> None:
    def answering(prompt: str) -> Any:
        yield ReasoningDelta("Hm.")
        yield ToolCallStarted(call_id="a", name="search")
        yield TextDelta("Found.")

    run = agent(answering).run("Where?")
    chart = charts.timeline(run)
    assert [lane for lane, _ in lanes(chart)] == ["Waiting", "Reasoning", "search", "Answer"]
    assert ("search", "Tool call, unfinished") in lanes(chart)
    assert "Timeline of" in chart.to_dict()["title"]["text"]


def test_the_timeline_of_a_table_is_that_of_its_run() -> None:
    found = tables.timed(3)

    class Stored:
        events = tuple(event for _, event in found)
        event_times = tuple(at for at, _ in found)
        duration = found[-1][0]

    assert rows(charts.timeline(Stored()), "lane") == rows(
        charts.timeline(tables.event_table(found)), "lane"
    )


def test_simultaneous_parts_stay_in_order() -> None:
    found: list[tuple[float, Event]] = [
        (1.0, ReasoningDelta("Hm.")),
        (1.0, ToolCallStarted(call_id="a", name="search")),
        (2.0, TextDelta("Found.")),
    ]
    drawn = lanes(charts.timeline(tables.event_table(found)))
    assert [lane for lane, _ in drawn] == ["Waiting", "Reasoning", "search", "Answer"]


def test_the_shortest_of_too_many_bars_are_left_out() -> None:
    chart = charts.timeline(tables.events(2000))
    drawn = rows(chart, "lane")
    assert len(drawn) == 1000
    assert [row["start"] for row in drawn] == sorted(row["start"] for row in drawn)
    assert "are left out" in chart.to_dict()["title"]["subtitle"][1]


def test_rows_that_were_sorted_otherwise() -> None:
    table = tables.events(5)
    turned = table.iloc[::-1]
    assert rows(charts.timeline(turned), "lane") == rows(charts.timeline(table), "lane")


def test_calls_of_one_tool_that_overlap_are_drawn_below_each_other() -> None:
    found: list[tuple[float, Event]] = [
        (float(number), ToolCallStarted(call_id=str(number), name="search")) for number in range(3)
    ]
    found.append((9.0, TextDelta("Found.")))
    drawn = lanes(charts.timeline(tables.event_table(found)))
    assert [lane for lane, _ in drawn] == ["search", "search (2)", "search (3)", "Answer"]


def test_a_run_that_waits_for_an_approval() -> None:
    found: list[tuple[float, Event]] = [(1.0, ApprovalRequested(message="Go on?"))]
    assert lanes(charts.timeline(tables.event_table(found)))[-1] == ("Approval", "Approval")


def test_the_events_of_several_runs() -> None:
    several = pd.concat([tables.events(1, run="a"), tables.events(1, run="b")])
    with pytest.raises(RequestError, match="draws one run; this table has events of 2"):
        charts.timeline(several)


def test_events_whose_content_was_not_kept() -> None:
    table = tables.events(2)
    table["text"] = pd.NA
    table["data"] = pd.NA
    table["name"] = pd.NA
    assert charts.timeline(table).to_dict()

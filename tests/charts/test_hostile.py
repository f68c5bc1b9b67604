"""Names from outside in charts: drawn, told apart, bounded, and none ends the process."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Any

import pandas as pd
import pytest

from agentnb import charts
from agentnb.event.types import RunFinished, ToolCallFinished, ToolCallStarted
from tests.charts import tables

MIME = "application/vnd.vegalite.v5+json"
# All that XML cannot hold, what is unseen, what is much, and what alone is nothing.
HOSTILE = (
    *(chr(code) for code in range(0x20)),
    "\ufffe\uffff",
    "\x1b]0;title\x07\x9b31mred",
    "user\u202egnp.exe",
    "see\U000e0073\U000e0065\U000e0065",
    "x" * 1_000_000,
    "<img src=//attacker.example/x onerror=alert(1)>",
)


class Run:
    """One that goes on here: nobody has looked at its texts yet."""

    title = "\ud800" + "".join(HOSTILE)
    duration = 1.0
    events = (
        ToolCallStarted(call_id="half", name="\ud800"),
        *(ToolCallStarted(call_id=name, name=name, arguments=name) for name in HOSTILE),
        *(ToolCallFinished(call_id=name, error=name) for name in HOSTILE),
        RunFinished(),
    )
    event_times = tuple(0.01 * at for at in range(len(events)))


def hostile_runs() -> pd.DataFrame:
    table = tables.runs(len(HOSTILE))
    for column in ("agent", "error_class", "model"):
        # As a table of the user's own may have them.
        table[column] = pd.Series(HOSTILE, dtype="object")
    table["status"] = "failed"
    return table


def hostile_calls() -> pd.DataFrame:
    table = tables.tool_calls(len(HOSTILE))
    table["name"] = pd.Series(HOSTILE, dtype="object")
    return table


CHARTS: dict[str, Any] = {
    "timeline": lambda: charts.timeline(Run()),
    "tools": lambda: charts.tools(hostile_calls()),
    "errors": lambda: charts.errors(hostile_runs()),
    "usage": lambda: charts.usage(hostile_runs()),
    "latency": lambda: charts.latency(hostile_runs(), by="model"),
    "a title of the user's own": lambda: charts.cost(hostile_runs()).properties(
        title="\x1b]0;x\x07\ufffe"
    ),
}


@pytest.mark.parametrize("name", CHARTS)
def test_it_is_drawn_and_commands_nothing(name: str) -> None:
    # What is no XML once ended the process here.
    shown, _ = CHARTS[name]()._repr_mimebundle_()
    assert b64decode(shown["image/png"]).startswith(b"\x89PNG")
    told = json.dumps(shown[MIME], ensure_ascii=False)
    assert len(told) < 60_000
    json.dumps(shown).encode()
    assert not re.search(r"\\u00|[\x7f-\x9f\u202e\ufffe\uffff\ud800\U000e0073]", told)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", shown["text/plain"])
    assert len(shown["text/plain"]) < 250


def test_similar_names_are_numbered() -> None:
    names = ["a\x1b[1m", "a", "a (2)", "b" * 50 + "1" + "b" * 50, "b" * 50 + "2" + "b" * 50]
    calls = tables.tool_calls(len(names))
    calls["name"] = pd.Series(names, dtype="object")
    spec = charts.tools(calls).to_dict()
    rows = max(spec["datasets"].values(), key=len)
    assert len({row["name"] for row in rows}) == len(names)

"""What the benchmarks say of a row, of the machine, and of what they were measured with."""

from __future__ import annotations

import gc
import getpass
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.inputs import WIDTH, encoded_texts, sentences, texts
from tests.bench.machine import described
from tests.bench.measure import Row, cost, speed
from tests.bench.picture import draw
from tests.bench.report import Measured, document, line, write

FAST = Row("bytes to events", [2.0, 3.0, 2.5], 2.2, over="a peer", exponents=[1.0])
SLOW = Row("memory of each", [70.0], 64.0, at_least=False, unit="KiB", limit=[30.0], limit_of="it")
CURVED = Row("to the end", [2.0], 1.0, over="a peer", exponents=[1.4])


@pytest.mark.parametrize(
    ("row", "reached", "met"), [(FAST, True, True), (SLOW, False, False), (CURVED, True, False)]
)
def test_a_goal_is_met_by_the_median_and_by_how_cost_grows(
    row: Row, reached: bool, met: bool
) -> None:
    assert (row.reached, row.met) == (reached, met)


def test_a_line_names_what_was_missed() -> None:
    ends = [line(Measured("1", row, 0.5)).split()[-1] for row in (FAST, SLOW, CURVED)]
    assert ends == ["met", "missed", "linear"]


@pytest.fixture
def small() -> Iterator[None]:
    """All that this process holds already is left out where a measurement collects garbage."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.anyio
@pytest.mark.usefixtures("small")
async def test_each_is_measured_as_often_as_any_other_and_first_as_often() -> None:
    order: list[str] = []

    def measure(name: str, seconds: float):
        async def run() -> float:
            order.append(name)
            return seconds

        return run

    row = await speed(
        "it",
        measure("ours", 2.0),
        measure("peer", 6.0),
        over="a peer",
        goal=1.0,
        quarter=measure("quarter", 0.5),
        rounds=9,
    )
    assert (row.values, row.exponents) == ([3.0] * 9, [1.0] * 9)
    # Before it counts, each was there once.
    rounds = order[3:]
    assert [rounds[at] for at in range(0, 27, 3)] == ["ours", "peer", "quarter"] * 3
    over = await cost("it", measure("ours", 2.0), measure("peer", 4.0), over="a peer", goal=1.0)
    assert over.median == 0.5


def test_inputs_are_made_by_the_seed() -> None:
    assert texts(1) == texts(1) != texts(2)
    assert {len(text) for text in texts(1)} == {WIDTH}
    assert [json.loads(f'"{text}"') for text in encoded_texts(3)] == texts(3)
    assert len(set(sentences(1, 3000))) == 3000


def test_the_machine_is_told_without_names_or_paths() -> None:
    told = json.dumps(described())
    for private in (platform.node(), str(Path.home()), str(Path.cwd())):
        assert len(private) < 4 or private not in told
    assert described()["libraries"]["httpx"]
    assert f'"{getpass.getuser()}"' not in told


def test_the_file_and_the_picture_hold_every_row_that_has_a_goal(tmp_path: Path) -> None:
    rows = [Measured(str(number), row, 0.5) for number, row in enumerate((FAST, SLOW, CURVED))]
    told = document(rows, machine=described(), seed=7)
    write(tmp_path / "bench.json", told)
    assert json.loads((tmp_path / "bench.json").read_text("utf-8")) == told
    assert [row["met"] for row in told["rows"]] == [True, False, False]
    assert told["rows"][0]["values"] == FAST.values
    draw(told, tmp_path / "bench.svg")
    picture = (tmp_path / "bench.svg").read_text("utf-8")
    shown = " ".join(ElementTree.fromstring(picture).itertext())
    for expected in ("bytes to events", "memory of each", "to the end", told["machine"]["cpu"]):
        assert expected in shown
    assert "prefers-color-scheme: dark" in picture

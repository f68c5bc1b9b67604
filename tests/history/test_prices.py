"""Cost: as the platform reported it, else of the prices that are known, else missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from agentnb.config import config
from agentnb.errors import ConfigError, RequestError
from agentnb.store import prices as module
from agentnb.store.prices import prices, set_prices
from agentnb.store.schema import process, run
from agentnb.store.store import Store
from agentnb.tables.runs import runs, sessions
from agentnb.tables.usage import usage
from tests.history.rows import NOON, a_process, a_run, add


@pytest.fixture(autouse=True)
def no_prices() -> Iterator[None]:
    yield
    module._overrides.clear()  # pyright: ignore[reportPrivateUsage]


def fill(store: Store) -> None:
    add(store, process, a_process())
    tokens: list[tuple[str, str | None, int | None, int | None, int | None, float | None]] = [
        ("reported", "large", 1000, 100, None, 0.5),
        ("computed", "large", 1000, 100, None, None),
        ("cached", "large", 1000, 100, 400, None),
        ("all cached", "large", 1000, 100, 5000, None),
        ("no output", "large", 1000, None, None, None),
        ("unpriced", "small", 1000, 100, 400, None),
        ("no model", None, 1000, 100, None, None),
    ]
    for place, (key, model, count, output, cached, cost) in enumerate(tokens):
        values: dict[str, Any] = {"input_tokens": count, "output_tokens": output}
        values |= {"cached_tokens": cached, "cost_usd": cost, "model": model, "session_id": "s"}
        add(store, run, a_run(key, started_at=NOON + place, **values))


def costs() -> dict[str, tuple[float | None, str | None]]:
    frame = runs(order="started_at")
    return {
        key: (None, None) if pd.isna(cost) else (round(cost, 9), source)
        for key, cost, source in zip(
            frame["local_id"], frame["cost_usd"], frame["cost_source"], strict=True
        )
    }


def test_without_prices_only_what_was_reported(history_store: Store) -> None:
    fill(history_store)
    found = costs()
    assert found.pop("reported") == (0.5, "platform")
    assert set(found.values()) == {(None, None)}
    assert usage("model")["cost_usd"].tolist()[0] == 0.5


def test_prices_fill_in_and_cached_tokens_are_not_counted_twice(history_store: Store) -> None:
    fill(history_store)
    set_prices({"large": {"input": 2.5, "output": 10, "cached": 1}})
    plain = round((1000 * 2.5 + 100 * 10) / 1e6, 9)
    cached = round((600 * 2.5 + 400 * 1 + 100 * 10) / 1e6, 9)
    every = round((1000 * 1 + 100 * 10) / 1e6, 9)
    assert costs() == {
        "reported": (0.5, "platform"),
        "computed": (plain, "prices"),
        "cached": (cached, "prices"),
        "all cached": (every, "prices"),
        "no output": (None, None),
        "unpriced": (None, None),
        "no model": (None, None),
    }
    total = 0.5 + plain + cached + every
    by_model = usage("model").set_index("model")["cost_usd"]
    assert by_model["large"] == pytest.approx(total)
    assert pd.isna(by_model["small"])
    for by in ([], ["day"], ["agent", "day"], ["session"]):
        assert usage(by)["cost_usd"].tolist() == [pytest.approx(total)]
    assert sessions()["cost_usd"].tolist() == [pytest.approx(total)]
    most = [cost for cost, _ in costs().values() if cost is not None]
    assert runs(order="-cost_usd")["cost_usd"].tolist()[: len(most)] == [
        pytest.approx(cost) for cost in sorted(most, reverse=True)
    ]


def test_without_a_price_for_cached_tokens_they_cost_as_the_others(history_store: Store) -> None:
    fill(history_store)
    set_prices({"large": {"input": 2.5, "output": 10}, "small": {"input": 0, "output": 0}})
    found = costs()
    assert found["cached"] == found["computed"]
    assert found["unpriced"] == (0.0, "prices")
    set_prices({"large": None})
    assert costs()["cached"] == (None, None)
    assert costs()["unpriced"] == (0.0, "prices")


def test_prices_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history_store: Store
) -> None:
    fill(history_store)
    file = tmp_path / "config.toml"
    file.write_text('[prices."large"]\ninput = 1\noutput = 2\n')
    monkeypatch.setenv("AGENTNB_CONFIG", str(file))
    config(reload=True)
    assert costs()["computed"] == (pytest.approx(0.0012), "prices")
    set_prices({"large": {"input": 2, "output": 4}})
    assert costs()["computed"] == (pytest.approx(0.0024), "prices")
    set_prices({"large": None})
    assert prices()["large"].output == 2
    for wrong in ("input = -1\noutput = 2", "input = 1", "input = 1\noutput = 2\nouput = 3"):
        file.write_text(f'[prices."large"]\n{wrong}\n')
        with pytest.raises(ConfigError, match="prices"):
            config(reload=True)
    monkeypatch.delenv("AGENTNB_CONFIG")
    config(reload=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input": 1}, "lacks 'output'"),
        ({"input": 1, "output": 1, "cache": 1}, "no 'cache'.*Did you mean 'cached'"),
        ({"input": -1, "output": 1}, "0 or more"),
        ({"input": "1", "output": 1}, "no number"),
        ({"input": float("nan"), "output": 1}, "no number"),
    ],
)
def test_a_wrong_price_is_refused_and_none_is_set(given: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        set_prices({"fine": {"input": 1, "output": 1}, "large": given})
    assert prices() == {}

"""Every table goes to Arrow and to polars, also an empty one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
import pytest

from agentnb import history
from agentnb.store.store import store
from agentnb.tables.events import events
from agentnb.tables.runs import runs, sessions, tool_calls
from agentnb.tables.usage import usage
from tests.history.seeding import seed

arrow: Any = pa


@pytest.mark.parametrize("filled", [False, True])
def test_arrow_and_polars(tmp_path: Path, filled: bool) -> None:
    history.use(tmp_path / "runs.sqlite")
    try:
        if filled:
            seed(store(required=True), runs=40)
        tables: list[pd.DataFrame] = [
            runs(),
            events(),
            tool_calls(),
            sessions(),
            usage(["agent", "day", "session"], percentiles=[50]),
            usage(["hour"], tz="Europe/Berlin"),
        ]
    finally:
        history.use(None)
    for frame in tables:
        assert bool(len(frame)) is filled
        told = arrow.Table.from_pandas(frame)
        assert told.num_rows == len(frame)
        assert told.column_names == list(frame.columns)
        kinds = {field.name: str(field.type) for field in told.schema}
        assert not [name for name, kind in kinds.items() if kind == "null"]
        for moved in (pl.from_pandas(frame), pl.DataFrame(told), pl.from_dataframe(frame)):  # pyright: ignore
            assert moved.shape == frame.shape
            assert moved.columns == list(frame.columns)
        back = told.to_pandas()
        assert len(back) == len(frame)

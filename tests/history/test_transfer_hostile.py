"""Ids and names in imports that are made to harm: bounded, cleaned with a notice, or refused."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select

from agentnb import history
from agentnb.errors import HistoryError, HistoryWarning
from agentnb.store.schema import event_chunk, process, run, tool_call
from agentnb.store.store import Store, store
from agentnb.store.stored_run import load
from agentnb.store.transfer import export_history, import_history
from agentnb.tables.runs import runs, sessions, tool_calls
from agentnb.tables.usage import usage
from tests.history.test_transfer_checks import Entry, an_entry, written

ACTING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LONG: Final = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1_000_000))
BAD: Final = {
    "escape": "a\x1b[31mb\x1b]0;x\x07\x9b",
    "bidi": "a\u202eb\u2066",
    "nul": "a\x00b",
    "lines": "a\r\nb\tc",
    "long": LONG,
    "signs, lengthened": "\u202e" * 300,
}
HARMLESS: Final = {"path": "../../etc/passwd", "words": "läuft 1/ü:2", "sign": "a␛[31mb"}


def an_odd_entry(key: str, odd: str) -> Entry:
    names = dict.fromkeys(("platform", "agent", "title", "model", "user_name"), odd)
    ids = dict.fromkeys(("run_id", "session_id", "error_code", "error_class"), odd)
    entry = an_entry(key, **names, **ids, process="p")
    entry["tool_call"][0] |= {"call_id": odd[:100], "name": odd}
    entry["process"] |= {"host": odd, "user_name": odd}
    return entry


def everything(opened: Store) -> dict[str, list[Any]]:
    with opened.connect() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in (process, run, event_chunk, tool_call)
        }


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_names_that_act(history_store: Store, tmp_path: Path, suffix: str) -> None:
    """Import, export and import again: the same rows, each once, which no terminal obeys."""
    entries = [an_odd_entry(f"k{n}", odd) for n, odd in enumerate((BAD | HARMLESS).values())]
    # Different before they are cleaned, and the same row twice.
    entries += [an_odd_entry("x", "a\x1b"), an_odd_entry("y", "a␛"), an_odd_entry("x", "a\x1b")]
    count = len(BAD) + len(HARMLESS) + 2
    path = written(tmp_path / "made.jsonl", *entries)
    with pytest.warns(HistoryWarning, match=r"Some ids or names .* cleaned") as noticed:
        assert import_history(path) == count
    assert len(noticed) <= len(entries)
    first = everything(history_store)
    for table, rows in first.items():
        for row in rows:
            texts = [value for value in row if isinstance(value, str)]
            shown = "".join(texts).replace("\r\n", "").replace("\n", "")
            assert table == "event_chunk" or not ACTING.search(shown), shown
            assert all(len(text) <= 1_000 for text in texts)
    # Without an id of its platform's, a run goes by its own.
    table = runs()
    assert {*table["run_id"]} - {*table["local_id"]} == {*HARMLESS.values(), "a␛"}
    for table in (runs(), sessions(), tool_calls(), usage(by="agent")):
        assert not ACTING.search(table.to_string().replace("\n", ""))
    assert load("k4").text == "onetwo"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = Path(str(export_history(tmp_path / f"copy.{suffix}")))
        assert import_history(copy) == 0
        history.use(tmp_path / "second.sqlite")
        second = store(required=True)
        assert import_history(copy) == count
    assert everything(second) == first
    again = Path(str(export_history(tmp_path / f"again.{suffix}")))
    if suffix == "jsonl":
        assert again.read_bytes() == copy.read_bytes()


@pytest.mark.parametrize("odd", ["a\x1bb", "a\x00", "\u202ea", "\n"])
def test_keys_that_act(history_store: Store, tmp_path: Path, odd: str) -> None:
    """Refuse keys by which rows belong together; one that a database changes would mix them."""
    bad_process = an_entry("k", process=odd)
    bad_process["process"]["id"] = odd
    for entry, name in ((an_entry(odd), "run.key"), (bad_process, "process.id")):
        path = written(tmp_path / "x.jsonl", entry)
        with pytest.raises(HistoryError, match=rf"{name} has control characters") as raised:
            import_history(path)
        assert str(raised.value).isprintable()
    assert len(runs()) == 0


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 50_000, '{"format": "\\ud800"}', "x"])
def test_lines_that_are_no_runs(history_store: Store, tmp_path: Path, line: str) -> None:
    path = tmp_path / "odd\x1b[31m\u202e.jsonl"
    path.write_text(f"{line}\n{json.dumps(an_entry())}", encoding="utf-8")
    with pytest.raises(HistoryError, match="Line 1 of") as raised:
        import_history(path)
    assert str(raised.value).isprintable()

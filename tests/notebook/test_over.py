"""`%%agent --over` in a real kernel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.conftest import Cell, Kernel
from tests.notebook.test_elsewhere import ipython

SETUP = """
import pandas as pd

names = ["NVDA", "AMD", "AAPL"]
firms = pd.DataFrame({"ticker": names, "price": [1.5, 2.5, None]}, index=[7, 8, 9])
rival = "{{ticker}}"

def parrot(prompt):
    if "fail" in prompt:
        raise ValueError("the tool broke")
    return prompt

async def stuck(prompt):
    if prompt == "2":
        await asyncio.sleep(600)
    return prompt

parrot, stuck = map(agentnb.agent, (parrot, stuck))
"""


@pytest.fixture(scope="module")
def tables(kernel: Kernel) -> Kernel:
    assert kernel.run(SETUP).ok
    return kernel


def lines(cell: Cell) -> list[str]:
    """Return what the progress said, one text after the other."""
    shown = [
        content
        for kind, content in cell.messages
        if kind in ("display_data", "update_display_data") and content["transient"]
    ]
    return [content["data"]["text/plain"] for content in shown]


def table(cell: Cell) -> dict[str, str]:
    """Return the table that the cell shows, which is its last output."""
    return cell.of("display_data")[-1]["data"]


def test_each_row_is_asked_and_the_table_is_shown_bound_and_the_last_value(tables: Kernel) -> None:
    cell = tables.run("%%agent parrot --over firms -o told\nCompare {{ticker}} with {{rival}}.")
    assert cell.ok
    assert lines(cell)[-1].startswith("local:parrot · ✓ 3 rows · ")
    assert "Compare AMD with {{ticker}}." in table(cell)["text/plain"]
    assert "Compare AMD with {{ticker}}." in table(cell)["text/html"]
    assert "local_id" not in table(cell)["text/plain"]
    told = "print(_ is told, told.index.tolist(), told.status.tolist(), 'local_id' in told)"
    assert tables.run(told).stdout == (
        "True [7, 8, 9] ['completed', 'completed', 'completed'] True\n"
    )


def test_an_expression_has_the_columns_as_names_and_a_missing_value_is_not_sent(
    tables: Kernel,
) -> None:
    assert tables.run(
        "%%agent priced << parrot --over firms --quiet\n{{ticker.lower()}}: {{price * 2}} {x}"
    ).ok
    assert tables.run("print(priced.answer.tolist(), priced.status.tolist())").stdout == (
        "['nvda: 3.0 {x}', 'amd: 5.0 {x}', <NA>] ['completed', 'completed', 'failed']\n"
    )
    told = tables.run("print(priced.error[9])").stdout
    assert "'price * 2' is missing in the row, which was not sent." in told


def test_any_iterable_is_gone_through_and_settings_reach_the_map(tables: Kernel) -> None:
    cell = tables.run(
        "%%agent parrot --over '(dict(name=n) for n in \"ab\")' --concurrency 1 --prefix new_\n"
        "{{name}}"
    )
    assert lines(cell)[-1].startswith("local:parrot · ✓ 2 rows · ")
    assert tables.run("print(_.new_answer.tolist(), _.name.tolist())").stdout == (
        "['a', 'b'] ['a', 'b']\n"
    )


def test_a_failed_row_stays_in_the_table_or_ends_the_cell(tables: Kernel) -> None:
    words = "['a', 'fail', 'c']"
    kept = tables.run(f'%%agent parrot --over "{words}" --concurrency 1\n{{{{item}}}}')
    assert kept.ok
    assert " 3 rows · 1 failed · " in lines(kept)[-1]
    assert "the tool broke" in table(kept)["text/plain"]
    ended = tables.run(
        f'%%agent parrot --over "{words}" --concurrency 1 --on-error raise -o part\n{{{{item}}}}'
    )
    assert ended.reply["ename"] == "BatchError"
    (line,) = ended.of("error")[0]["traceback"]
    assert "the tool broke" in line
    assert tables.run("print(part.answer.tolist()[:1])").stdout == "['a']\n"


@pytest.mark.parametrize("quiet", ["", "--quiet"])
def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(tables: Kernel, quiet: str) -> None:
    line = f"%%agent stuck --over 'range(5)' --concurrency 1 -o part {quiet}"
    cell = interrupted(tables, f"{line}\n{{{{item}}}}")
    assert cell.reply["ename"] == "KeyboardInterrupt"
    (told,) = cell.of("error")[0]["traceback"]
    said = told if quiet else lines(cell)[-1]
    assert "2 of 5 rows" in said
    assert "checkpoint='" in said
    assert tables.run("print(part.answer.tolist()[:2], _ is part)").stdout == "['0', '1'] True\n"
    file = said.partition("checkpoint='")[2].partition("'")[0]
    again = tables.run(f"%%agent parrot --over [1] --checkpoint '{file}'\n{{{{item}}}}")
    assert again.ok


def interrupted(kernel: Kernel, code: str) -> Cell:
    """Run a cell, and interrupt it once two rows of it are done and the third goes on."""
    waiting = (
        "import threading, time, os, signal\n"
        "def press(before=agentnb.last_map()):\n"
        "    def is_there():\n"
        "        runs = [run for run in agentnb.history.recent_runs() if not run.done]\n"
        "        return any(run.prompt == '2' and run.status == 'running' for run in runs)\n"
        "    while not is_there():\n"
        "        time.sleep(0.02)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=press, daemon=True).start()"
    )
    assert kernel.run(waiting).ok
    return kernel.run(code)


def test_a_checkpoint_is_gone_on_with(tables: Kernel, tmp_path: Any) -> None:
    file = tmp_path / "done.sqlite"
    asked = f"%%agent parrot --over firms --checkpoint '{file}'\n{{{{ticker}}}}"
    assert "from the checkpoint" not in lines(tables.run(asked))[-1]
    again = tables.run(asked)
    assert " 3 rows · 3 from the checkpoint · " in lines(again)[-1]


def test_rows_are_asked_outside_of_the_agents_conversation(tables: Kernel) -> None:
    assert tables.run("%%agent parrot -q -o before\nx").ok
    assert tables.run("%%agent parrot --over firms -q\n{{ticker}}").ok
    assert tables.run("%%agent parrot -q -o after\nx").ok
    told = "print(before.session_id == after.session_id, _ is after)"
    assert tables.run(told).stdout == "True True\n"


def test_what_nobody_watches_leaves_one_output_for_the_progress(tables: Kernel) -> None:
    cell = tables.run("%%agent parrot --over firms\n{{ticker}}", attended=False)
    assert len(lines(cell)) == 1
    assert len(cell.of("display_data")) == 2
    assert not cell.of("update_display_data")


def test_texts_of_agents_in_the_table_are_inert(tables: Kernel) -> None:
    cell = tables.run('%%agent parrot --over "[1]"\n$a$ <b>bold</b> \u202edesrever', attended=False)
    made = table(cell)["text/html"]
    assert "mathjax_ignore" in made
    assert "&lt;b&gt;bold&lt;/b&gt;" in made
    assert "⟨U+202E⟩" in made
    assert "⟨U+202E⟩" in table(cell)["text/plain"]


def test_text_alone_where_that_is_asked_for(tables: Kernel) -> None:
    cell = tables.run("%%agent parrot --over firms --format text\n{{ticker}}")
    assert set(table(cell)) == {"text/plain"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--over firms", "The cell names 'tikcer'; each row has ticker, price."),
        ("--over frims", "--over frims: NameError: name 'frims' is not defined."),
        ("--over firms[price]", "Put an expression in quotes"),
        ("--over 5", "A int holds no items"),
        ("--over firms --session s", "each row begins a session of its own"),
    ],
)
def test_mistakes_are_told_in_one_line_and_nothing_is_sent(
    tables: Kernel, line: str, words: str
) -> None:
    count = "print(len(agentnb.history.recent_runs()))"
    before = tables.run(count).stdout
    cell = tables.run(f"%%agent parrot {line}\n{{{{tikcer}}}}")
    assert cell.reply["ename"] == "RequestError"
    (told,) = cell.of("error")[0]["traceback"]
    assert words in told
    assert tables.run(count).stdout == before


def test_the_blocking_magic_does_the_same(tables: Kernel) -> None:
    assert tables.run("%autoawait off").ok
    try:
        assert tables.run("%%agent parrot --over firms -o told\n{{ticker}}").ok
    finally:
        tables.run("%autoawait on")
    assert tables.run("print(told.answer.tolist())").stdout == "['NVDA', 'AMD', 'AAPL']\n"


def test_in_a_terminal_the_table_is_text() -> None:
    cell = "%%agent greeter --over words\n{{item}}"
    done = ipython(f"words = ['one', 'two']\nshown = get_ipython().run_cell({cell!r})")
    assert done.returncode == 0, done.stderr
    assert "Hello **one**" in done.stdout
    assert "Hello **two**" in done.stdout
    assert "<" not in done.stdout


def test_tables_are_offered_after_over(tables: Kernel) -> None:
    def offered(text: str) -> list[str]:
        client: Any = tables.client
        return client.complete(text, reply=True, timeout=30)["content"]["matches"]

    assert offered("%%agent parrot --over fi") == ["firms"]
    assert "--over" in offered("%%agent parrot --o")
    assert offered("%%agent parrot --over firms --on-error r") == ["raise"]

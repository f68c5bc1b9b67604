"""`%%agent` in a real kernel."""

from __future__ import annotations

from typing import Any

import pytest

from tests.notebook.conftest import Cell, Kernel

VIEW = "application/vnd.jupyter.widget-view+json"


def test_an_attended_cell_shows_a_live_widget_that_becomes_a_static_output(kernel: Kernel) -> None:
    cell = kernel.run("%%agent greeter\nyou")
    (shown,) = cell.of("display_data")
    (replaced,) = cell.of("update_display_data")
    assert VIEW in shown["data"]
    assert shown["transient"]["display_id"] == replaced["transient"]["display_id"]
    assert set(replaced["data"]) == {"text/plain", "text/html"}
    assert "Hello <strong>you</strong>" in replaced["data"]["text/html"]
    assert replaced["data"]["text/plain"].startswith("Hello **you**")


def test_the_stream_reaches_the_frontend_before_the_cell_ends(kernel: Kernel) -> None:
    cell = kernel.run("%%agent greeter\nyou")
    kinds = [kind for kind, _ in cell.messages]
    live = [
        i
        for i, (kind, content) in enumerate(cell.messages)
        if kind == "comm_msg" and content["data"].get("content", {}).get("type") == "ops"
    ]
    assert live
    assert live[0] < kinds.index("update_display_data")


def test_an_unattended_cell_leaves_one_output_and_no_widget(kernel: Kernel) -> None:
    cell = kernel.run("%%agent greeter\nyou", attended=False)
    (shown,) = cell.of("display_data")
    assert set(shown["data"]) == {"text/plain", "text/html"}
    assert not cell.of("comm_open")
    assert not cell.of("update_display_data")


def test_a_value_that_could_not_be_shown_fails_no_later_cell(kernel: Kernel) -> None:
    failed = kernel.run(
        "class Shy:\n    def _repr_html_(self):\n        raise KeyboardInterrupt\nShy()"
    )
    assert not failed.ok
    assert kernel.run("%%agent greeter\nyou").ok


def test_the_run_is_bound_and_underscore_holds_it(kernel: Kernel) -> None:
    assert kernel.run("%%agent greeter -o answer\none").ok
    assert kernel.run("print(_ is answer, answer.text, answer.status)").stdout == (
        "True Hello **one** completed\n"
    )
    assert kernel.run("%%agent reply << greeter --quiet\ntwo").ok
    assert kernel.run("print(reply.text)").stdout == "Hello **two**\n"


def test_double_braces_are_replaced_once_and_single_ones_left_alone(kernel: Kernel) -> None:
    kernel.run("value = '{{1+1}}'")
    kernel.run("%%agent greeter -q -o braces\n{{value}} {x} {{ {'a': {'b': 3}}['a']['b'] }}")
    assert kernel.run("print(braces.prompt)").stdout == "{{1+1}} {x} 3\n"


def test_quiet_shows_nothing(kernel: Kernel) -> None:
    cell = kernel.run("%%agent greeter --quiet\nyou")
    assert cell.ok
    assert not cell.of("display_data")


def test_an_interrupt_cancels_keeps_what_arrived_and_stops_queued_cells(kernel: Kernel) -> None:
    def third_delta(kind: str, content: dict[str, Any]) -> bool:
        return kind == "comm_msg" and content["data"].get("content", {}).get("seq") == 3

    cell = kernel.run("%%agent slow -o stopped\nx", interrupt_at=third_delta)
    assert cell.reply["status"] == "error"
    assert cell.reply["ename"] == "KeyboardInterrupt"
    assert len(cell.of("error")[0]["traceback"]) == 1
    (replaced,) = cell.of("update_display_data")
    assert "cancelled" in replaced["data"]["text/plain"]
    after = kernel.run("print(stopped.status, stopped.text.startswith('0 1 '))")
    assert after.stdout == "cancelled True\n"


def test_an_interrupt_reaches_the_blocking_magic_too(kernel: Kernel) -> None:
    def third_delta(kind: str, content: dict[str, Any]) -> bool:
        return kind == "comm_msg" and content["data"].get("content", {}).get("seq") == 3

    assert kernel.run("%autoawait off").ok
    try:
        cell = kernel.run("%%agent slow -o stopped\nx", interrupt_at=third_delta)
        assert cell.reply["ename"] == "KeyboardInterrupt"
        assert kernel.run("print(stopped.status)").stdout == "cancelled\n"
        assert kernel.run("%%agent greeter -o blocked\nyou").ok
        assert kernel.run("print(blocked.text)").stdout == "Hello **you**\n"
    finally:
        kernel.run("%autoawait on")


def test_a_failed_run_raises_one_line_and_shows_what_arrived(kernel: Kernel) -> None:
    cell = kernel.run("%%agent broken -o failed\nx", attended=False)
    assert cell.reply["ename"] == "RunFailedError"
    assert cell.of("error")[0]["traceback"] == ["RunFailedError: ValueError: the tool broke"]
    (shown,) = cell.of("display_data")
    assert "so far so" in shown["data"]["text/plain"]
    assert kernel.run("print(failed.status)").stdout == "failed\n"


def test_background_returns_at_once_and_updates_its_output_at_the_end(kernel: Kernel) -> None:
    cell = kernel.run("%%agent greeter --bg -o later\nyou")
    assert cell.ok
    (shown,) = cell.of("display_data")
    waited = kernel.run("later.wait()\nprint(later.text)")
    assert waited.stdout == "Hello **you**\n"
    updates = updates_of(kernel, cell, waited)
    assert [u["transient"]["display_id"] for u in updates] == [shown["transient"]["display_id"]]


def test_stop_ends_what_goes_on(kernel: Kernel) -> None:
    kernel.run("%%agent slow --bg -q -o going\nx")
    assert kernel.run("import json\n%agent status").result["text/plain"].count("local:slow") == 1
    assert "local:slow" not in kernel.run("%agent stop nosuch").stdout
    assert kernel.run("%agent stop").ok
    assert kernel.run("print(going.wait(check=False).status)").stdout == "cancelled\n"


def test_a_conversation_goes_on_until_a_new_one_is_asked_for(kernel: Kernel) -> None:
    for line in ("-o first", "-o second", "--new -o third", "-o fourth"):
        assert kernel.run(f"%%agent greeter -q {line}\nx").ok
    same = kernel.run(
        "print(first.session_id == second.session_id, second.session_id == third.session_id, "
        "third.session_id == fourth.session_id)"
    )
    assert same.stdout == "True False True\n"
    assert kernel.run("%%agent greeter -q -o fifth --session {}\nx".format("abc")).ok
    assert kernel.run("print(fifth.session_id)").stdout == "abc\n"


@pytest.mark.parametrize(
    ("code", "name", "words"),
    [
        ("%%agent greeter --sesion s\nx", "RequestError", "Did you mean '--session'?"),
        ("%%agent greeter\n   ", "RequestError", "empty"),
        ("%%agent operativ:x\nx", "ConfigError", "Did you mean 'operativus'?"),
        ("%%agent greeter\n{{1/0}}", "RequestError", "ZeroDivisionError"),
        ("%agent hlp", "RequestError", "Did you mean 'help'?"),
        ("%agent list one two", "RequestError", "takes [PLATFORM]"),
        ("%%agent operativus:x\nx", "MissingKeyError", "OPERATIVUS_API_KEY"),
    ],
)
def test_mistakes_are_told_in_one_line(kernel: Kernel, code: str, name: str, words: str) -> None:
    cell = kernel.run(code, attended=False)
    assert cell.reply["ename"] == name
    (line,) = cell.of("error")[0]["traceback"]
    assert words in line


def test_config_sets_the_options(kernel: Kernel) -> None:
    assert "Current: 'auto'" in kernel.run("%config AgentMagics").stdout
    kernel.run("%config AgentMagics.display = 'text'")
    try:
        cell = kernel.run("%%agent greeter\nyou")
        assert cell.stdout.startswith("Hello **you**\n")
        assert not cell.of("display_data")
    finally:
        kernel.run("%config AgentMagics.display = 'auto'")


def test_names_complete(kernel: Kernel) -> None:
    def completed(code: str) -> list[str]:
        client: Any = kernel.client  # its `reply` stands in no type
        reply = client.complete(code, reply=True, timeout=30)["content"]
        start, end = reply["cursor_start"], reply["cursor_end"]
        return [code[:start] + match + code[end:] for match in reply["matches"]]

    kernel.run("%%agent greeter -q\nx")
    kernel.run("%agent alias fin operativus:finance_agent")
    assert "%%agent fin" in completed("%%agent fi")
    assert completed("%%agent greet") == ["%%agent greeter"]
    assert completed("%%agent fin --ses") == ["%%agent fin --session"]
    assert completed("%%agent fin --format j") == ["%%agent fin --format json"]
    assert completed("%agent hist") == ["%agent history"]
    assert completed("%%agent fin --platform runa") == ["%%agent fin --platform runagent"]
    assert "print" in completed("pri")


def test_runs_is_a_table_of_this_kernel(kernel: Kernel) -> None:
    kernel.run("%%agent greeter -q -o row\nx")
    cell = kernel.run("t = agentnb.runs()\nprint(t.iloc[0].run_id == row.id, t.iloc[0].status)")
    assert cell.stdout == "True completed\n"


def test_unloading_takes_everything_back(kernel: Kernel) -> None:
    kernel.run("%unload_ext agentnb")
    try:
        cell = kernel.run("%%agent greeter\nx")
        assert "not found" in str(cell.of("stream")) + str(cell.reply)
    finally:
        assert kernel.run("%load_ext agentnb").ok
    assert kernel.run("%%agent greeter -q\nx").ok


def test_loading_imports_nothing_heavy(kernel: Kernel) -> None:
    code = (
        "import subprocess, sys\n"
        "script = '''\n"
        "from IPython.testing.globalipapp import start_ipython\n"
        "import sys\n"
        "shell = start_ipython()\n"
        "before = set(sys.modules)\n"
        'shell.run_line_magic("load_ext", "agentnb")\n'
        "new = set(sys.modules) - before\n"
        'print(sorted(new & {"httpx", "pydantic", "pandas", "anywidget", "starlette"}))\n'
        "'''\n"
        "done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)\n"
        "print(done.stdout)"
    )
    assert kernel.run(code).stdout.strip().endswith("[]")


@pytest.mark.parametrize("outer", ["%%time", "%%capture caught"])
def test_a_cell_inside_another_cell_blocks_and_works(kernel: Kernel, outer: str) -> None:
    cell = kernel.run(f"{outer}\n%%agent greeter -o inner\nyou")
    assert cell.ok, cell.reply
    assert kernel.run("print(inner.text)").stdout == "Hello **you**\n"
    again = kernel.run("done = get_ipython().run_cell('%%agent greeter -q -o twice\\nyou')")
    assert again.ok
    assert kernel.run("print(done.success, twice.text)").stdout == "True Hello **you**\n"
    assert kernel.run("%%agent greeter -o outer\nyou").of("update_display_data")


def test_a_session_that_is_not_there_is_not_gone_on_in(kernel: Kernel) -> None:
    kernel.run("remote = agentnb.agent('seekr:echo', base_url='sandbox')")
    assert kernel.run("%%agent remote -q -o one\nx").ok
    lost = kernel.run("%%agent remote -q --session nowhere\nx")
    assert lost.reply["ename"] == "RunFailedError"
    assert kernel.run("%%agent remote -q -o two\nx").ok
    assert kernel.run("print(two.status, two.session_id != 'nowhere')").stdout == "completed True\n"


def test_two_servers_of_one_platform_have_their_own_sessions(kernel: Kernel) -> None:
    kernel.run(
        "other = agentnb.sandbox.Sandbox(pace=0).start()\n"
        "here = agentnb.agent('seekr:echo', base_url='sandbox')\n"
        "there = agentnb.agent('seekr:echo', base_url=other.base_url('seekr'),"
        " api_key=other.api_key)"
    )
    for name in ("here", "there", "here", "there"):
        assert kernel.run(f"%%agent {name} -q\nx").ok
    assert kernel.run("other.stop()").ok


def test_an_older_run_does_not_take_the_conversation_back(kernel: Kernel) -> None:
    kernel.run("%%agent greeter --new --bg -q -o old\nx")
    kernel.run("%%agent greeter --new -q -o new\nx")
    kernel.run("old.wait()")
    kernel.run("%%agent greeter -q -o after\nx")
    assert kernel.run("print(after.session_id == new.session_id)").stdout == "True\n"


def test_a_misspelt_agent_is_told_which_one_was_meant(kernel: Kernel) -> None:
    cell = kernel.run("%%agent finance_agnt -q\nx")
    assert cell.reply["ename"] == "RunFailedError"
    assert cell.of("error")[0]["traceback"][0].endswith("Did you mean 'finance_agent'?")


def test_a_cell_that_may_take_only_so_long(kernel: Kernel) -> None:
    cell = kernel.run("%%agent slow --timeout 1 -o late\nx")
    (line,) = cell.of("error")[0]["traceback"]
    assert line.startswith("RunFailedError: The run did not finish within 1 s.")
    assert kernel.run("print(late.status, late.text[:2])").stdout == "failed 0 \n"


def test_a_failed_run_from_code_is_one_line_too(kernel: Kernel) -> None:
    cell = kernel.run("broken.run('x')")
    assert cell.of("error")[0]["traceback"] == ["RunFailedError: ValueError: the tool broke"]


def test_the_default_agent_of_the_options_can_be_changed(kernel: Kernel) -> None:
    for name in ("sandbox:echo", "sandbox:finance_agent", "sandbox:echo"):
        kernel.run(f"%config AgentMagics.default_agent = '{name}'")
        assert name in kernel.run("%agent use").result["text/plain"]
    kernel.run("%config AgentMagics.default_agent = ''")


def test_json_is_the_answer_or_else_the_run(kernel: Kernel) -> None:
    code = "speak = agentnb.agent(lambda prompt: prompt)"
    assert kernel.run(code).ok
    good = kernel.run('%%agent speak -f json\n{"a": 1}').of("display_data")
    assert good[0]["data"]["application/json"] == {"a": 1}
    bad = kernel.run('%%agent speak -f json\n{"a": NaN}').of("display_data")
    assert bad[0]["data"]["application/json"]["text"] == '{"a": NaN}'
    assert bad[0]["data"]["application/json"]["status"] == "completed"


def test_names_complete_in_a_fresh_notebook_too(kernel: Kernel) -> None:
    client: Any = kernel.client
    reply = client.complete("%%agent finance", reply=True, timeout=30)["content"]
    assert "finance_agent" in reply["matches"]
    reply = client.complete("%%agent gree", reply=True, timeout=30)["content"]
    assert reply["matches"] == ["greeter"]
    assert not client.complete("%%agent greeter -o fin", reply=True)["content"]["matches"]


def test_a_run_that_is_a_cell_s_value_is_shown_live(kernel: Kernel) -> None:
    cell = kernel.run("value = greeter.start('you')\nvalue")
    (shown,) = cell.of("display_data")
    updates = updates_of(kernel, cell, kernel.run("value.wait()"))
    assert [u["transient"]["display_id"] for u in updates] == [shown["transient"]["display_id"]]
    (again,) = kernel.run("value").of("display_data")
    assert "Hello <strong>you</strong>" in again["data"]["text/html"]


def test_a_console_waits_for_the_question(kernel: Kernel) -> None:
    client: Any = kernel.client

    def complete(code: str) -> str:
        sent = client.is_complete(code)
        while True:
            reply = client.get_shell_msg(timeout=30)
            if reply["parent_header"]["msg_id"] == sent:
                return reply["content"]["status"]

    assert complete("%%agent greeter") == "incomplete"
    assert complete("%%agent greeter\nyou") == "incomplete"
    assert complete("%%agent greeter\nyou\n\n") == "complete"


def test_a_history_of_none_makes_no_sense(kernel: Kernel) -> None:
    refused = kernel.run("%agent history 0")
    assert refused.reply["ename"] == "RequestError"
    assert "at least 1" in refused.reply["evalue"]


def updates_of(kernel: Kernel, *cells: Cell) -> list[dict[str, Any]]:
    """The updates in ``cells``, or in what the kernel says next: they come from another thread."""
    for _ in range(100):
        if found := [u for cell in cells for u in cell.of("update_display_data")]:
            return found
        cells = (kernel.run("import time\ntime.sleep(0.1)"),)
    return []

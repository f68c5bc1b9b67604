"""`Chat` and ``%agent chat`` in a real kernel, in a terminal, and without IPython."""

from __future__ import annotations

import json
import queue
import time
from pathlib import Path
from typing import Any

import pytest

from agentnb.conversation import Conversation
from agentnb.conversation.record import chat_view
from agentnb.render.chat import chat_html, chat_markdown, chat_text
from tests.children import python
from tests.notebook.conftest import Cell, Kernel
from tests.notebook.test_elsewhere import ipython
from tests.widgets.chat_page import ChatPage

VIEW = "application/vnd.jupyter.widget-view+json"


def opened(cell: Cell) -> tuple[str, ChatPage]:
    """Return the comm that the cell opened for a chat, and a page that was told of it."""
    for content in cell.of("comm_open"):
        state = content["data"]["state"]
        if state.get("kind") == "chat":
            return content["comm_id"], ChatPage.opened(state["snapshot"])
    raise AssertionError("no chat was opened")


def say(kernel: Kernel, comm_id: str, **content: Any) -> None:
    data = {"method": "custom", "content": content}
    session = kernel.client.session
    kernel.client.shell_channel.send(session.msg("comm_msg", {"comm_id": comm_id, "data": data}))


def listen(kernel: Kernel, comm_id: str, page: ChatPage, until: Any) -> None:
    """Take in what the kernel tells the page until that is so."""
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, page.heard[-3:]
        try:
            message = kernel.client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        content = message["content"]
        if message["msg_type"] == "comm_msg" and content["comm_id"] == comm_id:
            # Every change goes by messages: the snapshot is never pushed.
            assert content["data"]["method"] == "custom", content["data"]
            page.hear(content["data"]["content"])


def test_an_attended_chat_is_live_and_the_page_can_ask(kernel: Kernel) -> None:
    cell = kernel.run("chat = agentnb.chat(greeter)\nchat")
    (shown,) = cell.of("display_data")
    assert VIEW in shown["data"]
    assert "greeter" in shown["data"]["text/plain"]
    assert "text/html" in shown["data"]
    comm_id, page = opened(cell)
    assert page.chat["title"] == "greeter"
    say(kernel, comm_id, type="send", id="t1", parent=None, text="you", attachments=[])
    listen(kernel, comm_id, page, lambda: page.chat["status"] == "completed")
    assert page.runs["t1"].run["parts"][0]["text"] == "Hello **you**"
    told = kernel.run("print(chat.messages[-1]['content'], chat.status, len(chat.runs()))")
    assert told.stdout == "Hello **you** completed 1\n"
    assert kernel.run("print(chat.session_id)").stdout.strip() == page.chat["session_id"]


def test_code_asks_and_observers_are_told(kernel: Kernel) -> None:
    cell = kernel.run(
        "chat = agentnb.chat(greeter)\nseen = []\n"
        "def breaks(change): raise ValueError('an observer')\n"
        "chat.observe(breaks, names=['messages'])\n"
        "chat.observe(lambda change: seen.append(change['new']), names=['status'])\n"
        "run = chat.send('code').wait()\n"
        "print(run.text, chat.messages[-1]['content'], chat.status)\n"
        "await asyncio.sleep(0.2)\n"
        "print(seen[-1], type(chat).__mro__[0].__name__)"
    )
    assert cell.stdout == "Hello **code** Hello **code** completed\ncompleted Chat\n"


def test_an_unattended_chat_is_one_static_output(kernel: Kernel) -> None:
    cell = kernel.run("chat = agentnb.chat(greeter)\nchat.send('you').wait()\nchat", attended=False)
    (shown,) = cell.of("display_data")
    assert set(shown["data"]) == {"text/plain", "text/html"}
    assert "Hello <strong>you</strong>" in shown["data"]["text/html"]
    assert not cell.of("comm_open")
    assert not cell.of("comm_msg")


def test_a_chat_made_unattended_opens_when_somebody_looks(kernel: Kernel) -> None:
    kernel.run("chat = agentnb.chat(greeter)\nchat.send('you').wait()", attended=False)
    cell = kernel.run("chat")
    _, page = opened(cell)
    assert [turn["prompt"] for turn in page.chat["turns"]] == ["you"]


def test_frozen_it_is_static_and_the_conversation_goes_on(kernel: Kernel) -> None:
    shown = kernel.run("chat = agentnb.chat(greeter)\nchat").of("display_data")[0]
    frozen = kernel.run("chat.send('you').wait()\nchat.freeze()")
    (replaced,) = frozen.of("update_display_data")
    assert replaced["transient"]["display_id"] == shown["transient"]["display_id"]
    assert set(replaced["data"]) == {"text/plain", "text/html"}
    assert "Hello <strong>you</strong>" in replaced["data"]["text/html"]
    # A page that was loaded anew cannot replace the output; its view must not go blank.
    assert not frozen.of("comm_close")
    after = kernel.run("print(chat.send('more').wait().text, len(chat.messages))\nchat")
    assert after.stdout == "Hello **more** 4\n"
    assert VIEW not in after.of("display_data")[0]["data"]


def test_the_magic_goes_on_where_the_cells_are_and_moves_them(kernel: Kernel) -> None:
    kernel.run("%%agent greeter -q --new -o first\none")
    kernel.run("%%agent greeter -q -o second\ntwo")
    cell = kernel.run("%agent chat greeter")
    _, page = opened(cell)
    assert [turn["prompt"] for turn in page.chat["turns"]] == ["one", "two"]
    kernel.run("chat = _\nthird = chat.send('three').wait()")
    print_same = "print(first.session_id == third.session_id == chat.session_id)"
    assert kernel.run(print_same).stdout == "True\n"
    kernel.run("other = agentnb.chat(greeter)\nother.send('aside').wait()")
    kernel.run("chat.new()\nfresh = chat.send('fresh').wait()\nawait asyncio.sleep(0.1)")
    kernel.run("%%agent greeter -q -o last\nfour")
    same = kernel.run("print(last.session_id == fresh.session_id != first.session_id)")
    assert same.stdout == "True\n"


def test_the_next_cell_goes_on_where_the_chat_is(kernel: Kernel) -> None:
    kernel.run("chat = get_ipython().run_line_magic('agent', 'chat greeter --new')")
    kernel.run("one, two = chat.send('one').wait(), chat.send('two').wait()")

    def cell(where: str) -> str:
        kernel.run(f"{where}\nawait asyncio.sleep(0.1)")
        kernel.run("%%agent greeter -q -o cell\nin a cell")
        return kernel.run(
            "print(cell.session_id in (one.session_id, branch.session_id), "
            "cell.session_id == chat.session_id)"
        ).stdout

    assert cell("branch = chat.edit(2, 'second').wait()") == "True True\n"
    # Another version.
    assert cell("chat.conversation.show(chat.conversation.turns[1].id)") == "True True\n"
    assert cell("chat.new()") == "False False\n"
    assert cell("chat.open(one.session_id)") == "True True\n"


def test_the_magic_begins_anew_or_in_a_named_session(kernel: Kernel) -> None:
    kernel.run("%%agent greeter -q -o first\none")
    new = kernel.run("chat = get_ipython().run_line_magic('agent', 'chat greeter --new')")
    assert opened(new)[1].chat["turns"] == []
    kernel.run("chat = get_ipython().run_line_magic('agent', 'chat greeter --session abc')")
    assert kernel.run("print(chat.session_id)").stdout == "abc\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("chat greeter --nww", "Did you mean '--new'?"),
        ("chat greeter --new --session s", "contradict"),
        ("chat operativ:x", "Did you mean 'operativus'?"),
    ],
)
def test_the_magic_tells_what_is_wrong(kernel: Kernel, line: str, words: str) -> None:
    cell = kernel.run(f"%agent {line}")
    (error,) = cell.of("error")
    assert words in error["traceback"][0]
    assert len(error["traceback"]) == 1


def test_what_may_follow_is_completed(kernel: Kernel) -> None:
    kernel.run("from agentnb.notebook.completion_choices import complete")
    told = kernel.run(
        "print(complete('%agent ch'), complete('%agent chat gree'), "
        "complete('%agent chat greeter --'))"
    )
    assert told.stdout == "['chat'] ['greeter'] ['--session', '--new']\n"


def test_a_chat_goes_on_from_a_run(kernel: Kernel) -> None:
    told = kernel.run(
        "run = greeter.run('one')\nchat = agentnb.chat(run)\nchat.send('two').wait()\n"
        "print([m['content'] for m in chat.messages], chat.session_id == run.session_id)"
    )
    assert told.stdout == "['one', 'Hello **one**', 'two', 'Hello **two**'] True\n"


def test_in_a_terminal_it_is_text() -> None:
    done = ipython("chat = agentnb.chat(greeter)\nchat.send('you').wait()\nchat")
    assert done.returncode == 0, done.stderr
    assert "greeter · local · 1 question" in done.stdout
    assert "Hello **you**" in done.stdout


def test_without_ipython_it_is_a_plain_widget() -> None:
    done = python("""
        import anywidget
        import agentnb

        chat = agentnb.chat(lambda prompt: prompt.upper())
        assert isinstance(chat, agentnb.Chat) and isinstance(chat, anywidget.AnyWidget)
        print(chat.send("hi").wait().text, chat.get_state()["snapshot"]["chat"]["status"])
        edited = chat.edit(0, "ho").wait()
        print(edited.text, [len(chat.messages), chat.runs().shape[0]])
        for wrong in (lambda: chat.edit(1, "x"), lambda: chat.edit(9, "x")):
            try:
                wrong()
            except agentnb.RequestError as error:
                print(error)
        chat.close()
        print(chat.send("again").wait().text)
    """)
    assert done.stdout == (
        "HI completed\nHO [2, 2]\nMessage 1 is not a question. See chat.messages.\n"
        "There is no message 9; there are 2.\nAGAIN\n"
    )


def test_it_is_exported_whole(tmp_path: Path) -> None:
    done = python(f"""
        import agentnb, pathlib
        chat = agentnb.chat(lambda prompt: f"**{{prompt}}** <script>alert(1)</script>")
        for text in ("one", "two"):
            chat.send(text).wait()
        chat.regenerate().wait()
        for suffix in ("md", "html", "json"):
            print(chat.export(pathlib.Path({str(tmp_path)!r}) / f"chat.{{suffix}}").name)
        try:
            chat.export("chat.txt")
        except ValueError as error:
            print(error)
    """)
    assert done.stdout.startswith("chat.md\nchat.html\nchat.json\nA chat is exported as")
    markdown = (tmp_path / "chat.md").read_text()
    assert markdown.count("## Question") == 2
    assert "> two" in markdown
    page = (tmp_path / "chat.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert "<strong>one</strong>" in page
    data = json.loads((tmp_path / "chat.json").read_text())
    assert [turn["prompt"] for turn in data["turns"]] == ["one", "two", "two"]
    assert len(data["shown"]) == 2
    assert data["turns"][1]["run"]["events"]
    assert len(data["sessions"]) == 2


def test_a_long_chat_shows_its_end_and_exports_all() -> None:
    import agentnb

    def answer(prompt: str) -> str:
        return f"answer {prompt}"

    chat = Conversation(agentnb.agent(answer))
    for number in range(60):
        chat.send(f"q{number}").run.wait()
    view = chat_view(chat)
    html, text = chat_html(view), chat_text(view)
    for shown in (html, text):
        assert "10 earlier questions" in shown
        assert "answer q59" in shown
        assert "answer q10" in shown
        assert "answer q9\n" not in shown
        assert "answer q9<" not in shown
    assert "answer q0" in chat_html(view, standalone=True)
    assert chat_markdown(view).count("## Question") == 60

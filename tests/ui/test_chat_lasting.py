"""Chats that last: page loads, lost messages, restarts, saved notebooks, and what is exported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.ui.chatting import ChatOnPage
from tests.ui.files import read_outputs
from tests.ui.frontend import NotebookPage
from tests.ui.notebook_agents import COUNTED
from tests.ui.opener import Opener
from tests.ui.server import JupyterServer

LOSSY = Path(__file__).with_name("lossy.js")
LAB = pytest.mark.parametrize("frontend", ["lab"], indirect=True)
STEPS = "import agentnb\nchat = agentnb.chat(steps)\nchat"
STEPPED = "First things first. Then the second. And the third, the last."
CONVERT_S = 60


# -- the page is loaded again --------------------------------------------------------------------


def test_a_chat_goes_on_in_a_page_loaded_again(page: NotebookPage, notebook: Opener) -> None:
    notebook(STEPS)
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.ask("Tell me.")
    expect(chat.answer(1)).to_contain_text("First things first.")
    page.save()
    page.release("second")
    expect(chat.answer(1)).to_contain_text("Then the second.")

    # In mid-answer
    page.reload()
    expect(chat.answer(1)).to_have_text("First things first. Then the second.")
    expect(chat.button("Stop").last).to_be_visible()
    for name in ("third", "end"):
        page.release(name)
    chat.until(1)
    expect(chat.answer(1)).to_have_text(STEPPED)
    chat.say(2, "Once more.")

    # And after it
    page.reload()
    chat.until(2)
    expect(chat.answer(2)).to_have_text(STEPPED)
    chat.say(3, "And again.")
    assert questions(chat) == ["Tell me.", "Once more.", "And again."]
    assert page.complaints == []


def questions(chat: ChatOnPage) -> list[str]:
    return chat.log.locator(".agentnb-chat-bubble").all_text_contents()


# -- messages are lost ---------------------------------------------------------------------------


@LAB
@pytest.mark.fresh_page
def test_a_chat_that_loses_messages_ends_up_whole(page: NotebookPage, notebook: Opener) -> None:
    page.page.add_init_script(path=LOSSY)
    notebook("import agentnb\nagentnb.chat(counting)")
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "Count.")
    expect(chat.answer(1)).to_have_text(COUNTED)
    assert page.page.evaluate("window.lost") > 5
    assert page.complaints == []


# The first message of a kind is lost; what follows it is not.
LOSE_ONE = """(kind) => {
  const isIt = (content) =>
    content?.type === kind || Boolean(content?.ops?.some(({ op }) => op === kind));
  window.lost = 0;
  window.loses = (content) => window.lost === 0 && isIt(content);
}"""


@LAB
@pytest.mark.fresh_page
def test_a_lost_turn_and_a_lost_acknowledgement_are_made_up_for(
    page: NotebookPage, notebook: Opener
) -> None:
    page.page.add_init_script(path=LOSSY)
    notebook(STEPS)
    page.run(1)
    for name in ("second", "third", "end"):
        page.release(name)
    chat = ChatOnPage(page, 1)
    expect(chat.field).to_be_visible()
    for number, kind in enumerate(("turn", "ack"), 1):
        page.page.evaluate(LOSE_ONE, kind)
        chat.say(number, f"Tell me, {kind}.")
        expect(chat.answer(number)).to_have_text(STEPPED)
        expect(chat.note).to_be_hidden()
        assert page.page.evaluate("window.lost") == 1
    assert page.complaints == []


# -- the kernel is restarted ---------------------------------------------------------------------


@LAB
def test_a_restarted_kernel_leaves_a_transcript_and_a_way_on(
    page: NotebookPage, notebook: Opener
) -> None:
    notebook(STEPS)
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.ask("Tell me.")
    expect(chat.answer(1)).to_have_text("First things first.")
    page.restart()
    expect(chat.run(1)).to_have_attribute("data-status", "interrupted")
    expect(chat.run(1)).to_contain_text("Interrupted")
    expect(chat.answer(1)).to_have_text("First things first.")
    check_read_only(chat)

    page.run(0)
    page.run(1)
    expect(chat.field).to_be_editable()
    expect(chat.turns).to_have_count(0)
    for name in ("second", "third", "end"):
        page.release(name)
    chat.say(1, "Tell me anew.")
    expect(chat.answer(1)).to_have_text(STEPPED)


def check_read_only(chat: ChatOnPage) -> None:
    expect(chat.note).to_contain_text("run the cell again")
    expect(chat.field).to_have_attribute("readonly", "")
    expect(chat.button("Send")).to_have_attribute("aria-disabled", "true")


# -- the notebook is opened again ----------------------------------------------------------------


def copied(path: Path, name: str, *, kernel: bool) -> Path:
    """Copy a saved notebook; it is one that nobody trusts yet, and has no kernel or a fresh one."""
    notebook = json.loads(path.read_text("utf-8"))
    language = "python" if kernel else "none"
    notebook["metadata"] |= {
        "title": name,
        "kernelspec": {
            "name": "python3" if kernel else "none",
            "display_name": language,
            "language": language,
        },
        "language_info": {"name": language},
    }
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    copy = path.with_name(f"{name}.ipynb")
    copy.write_text(json.dumps(notebook), "utf-8")
    return copy


@LAB
@pytest.mark.fresh_page
def test_a_saved_chat_can_be_read_without_a_kernel(
    page: NotebookPage, notebook: Opener, server: JupyterServer
) -> None:
    notebook(STEPS, "chat", "chat.freeze()")
    for name in ("second", "third", "end"):
        page.release(name)
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "Tell me.")
    # What was said before it was shown is in its output.
    page.run(2)
    ChatOnPage(page, 2).until(1)
    page.save()
    live = copied(page.path, "live", kernel=False)
    page.run(3)
    # All that show it are replaced.
    for cell in (1, 2):
        expect(ChatOnPage(page, cell).element).to_have_count(0)
        expect(page.output(cell)).to_contain_text(STEPPED)
    page.save()
    [saved] = read_outputs(page.path, 1)
    assert saved["data"].keys() == {"text/html", "text/plain"}
    frozen = copied(page.path, "frozen", kernel=False)

    # A notebook that is trusted, and has no state, shows in the place of a live chat what Jupyter
    # says of any widget.
    for path, trusted in ((live, False), (frozen, True)):
        if trusted:
            server.trust(path)
        page.open(path, kernel=False)
        assert page.is_trusted() == trusted
        expect(page.output(2)).to_contain_text("Tell me.")
        expect(page.output(2)).to_contain_text(STEPPED)
        assert page.complaints == []


@pytest.fixture
def saved_state(server: JupyterServer) -> Iterator[None]:
    """Save widget state with notebooks; a setting that lives on in the server: it is set back."""
    path = "lab/api/settings/@jupyter-widgets/jupyterlab-manager:plugin"
    server.ask("PUT", path, {"raw": json.dumps({"saveState": True})})
    yield
    server.ask("PUT", path, {"raw": "{}"})


CHATS = (
    "import agentnb\nfirst = agentnb.chat(report)\nfirst",
    "second = agentnb.chat(steps)\nsecond",
    "second",
    "from agentnb.widgets.run import RunWidget\nRunWidget(Report.start('How was it?'))",
)


@LAB
@pytest.mark.usefixtures("saved_state")
@pytest.mark.fresh_page
def test_saved_widget_state_shows_the_chat_without_its_kernel(
    page: NotebookPage, notebook: Opener, server: JupyterServer
) -> None:
    notebook(*CHATS)
    for name in ("tools", "answer", "end", "second", "third"):
        page.release(name)
    for cell in range(1, 5):
        page.run(cell)
    for cell, question in ((1, "How was the quarter?"), (2, "Tell me.")):
        ChatOnPage(page, cell).say(1, question)
    expect(page.view(4)).to_have_attribute("data-status", "completed")
    page.save()
    metadata = json.loads(page.path.read_text("utf-8"))["metadata"]
    kept = metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    states: list[dict[str, Any]] = [model["state"] for model in kept.values()]
    # The views' code is there once, for all of them.
    [source] = [state["source"] for state in states if "source" in state]
    assert len(source) > 50_000
    assert sum("_esm" in state for state in states) == 3
    assert sum(len(json.dumps(state)) for state in states if "source" not in state) < 60_000

    # Where there is no kernel at all, JupyterLab restores no widget.
    again = copied(page.path, "again", kernel=True)
    server.trust(again)
    page.open(again)
    for cell, question, told in (
        (1, "How was the quarter?", "supply was short until August"),
        (2, "Tell me.", STEPPED),
        (3, "Tell me.", STEPPED),
    ):
        chat = ChatOnPage(page, cell)
        expect(chat.run(1)).to_contain_text(told)
        expect(chat.run(1)).to_have_attribute("data-status", "completed")
        assert questions(chat) == [question]
        check_read_only(chat)
    expect(page.view(4)).to_contain_text("Quarterly summary")
    assert page.foreign == []
    assert page.complaints == []


# -- what is left of it elsewhere ----------------------------------------------------------------

EXPORTS = "[chat.export(f'talk{suffix}').stat().st_size for suffix in ('.md', '.html', '.json')]"


@LAB
@pytest.mark.fresh_page
def test_a_chat_is_exported_and_a_notebook_with_it_converted(
    page: NotebookPage, notebook: Opener, server: JupyterServer
) -> None:
    notebook(STEPS, EXPORTS, "chat.freeze()")
    for name in ("second", "third", "end"):
        page.release(name)
    page.run(1)
    ChatOnPage(page, 1).say(1, "Tell me.")
    page.run(2)
    for suffix in (".md", ".html", ".json"):
        told = page.path.with_name(f"talk{suffix}").read_text("utf-8")
        assert "Tell me." in told
        assert "First things first. Then the second. And the third, " in told
    page.run(3)
    expect(page.output(1)).to_contain_text(STEPPED)
    page.save()
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", page.path.name]
    subprocess.run(
        command, cwd=page.path.parent, check=True, capture_output=True, timeout=CONVERT_S
    )
    for made in (page.path.with_suffix(".html"), page.path.with_name("talk.html")):
        place = made.relative_to(server.root).as_posix()
        page.page.goto(f"{server.url}files/{place}?token={server.token}")
        expect(page.page.get_by_text("Tell me.", exact=True)).to_be_visible()
        expect(page.page.locator("body")).to_contain_text(STEPPED)

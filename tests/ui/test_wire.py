"""What a run costs between the kernel and the page, and what a page can be worked with."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.frontend import NotebookPage
from tests.ui.notebook_agents import COUNTED
from tests.ui.opener import Opener
from tests.ui.tasks import LongTasks
from tests.ui.wire import Wire

BUSY = """() => new Promise((resolve) => {
  setTimeout(() => {
    const end = performance.now() + 120;
    while (performance.now() < end);
    resolve();
  }, 0);
})"""


@pytest.mark.fresh_page
def test_an_answer_comes_in_pieces_and_each_piece_once(
    page: NotebookPage, notebook: Opener
) -> None:
    wire = Wire(page.page)
    notebook("%%agent Counting\nCount.")
    wire.clear()
    page.run(1)
    expect(page.static(1)).to_contain_text("0199")
    # What a page asks for as it comes up is the whole state so far, and counts as a message.
    messages = [m for m in wire.custom("in") if m["type"] in ("ops", "snapshot")]
    assert [m["seq"] for m in messages] == list(range(1, len(messages) + 1))
    opened = next(f.state["snapshot"] for f in wire.frames if "snapshot" in f.state)
    pieces: list[str] = [part["text"] for part in opened["run"]["parts"]]
    for message in messages:
        if message["type"] == "snapshot":
            pieces = [part["text"] for part in message["run"]["parts"]]
        for op in message.get("ops", []):
            if op["op"] == "append":
                assert op["offset"] == sum(len(piece) for piece in pieces)
                pieces.append(op["text"])
            elif op["op"] == "part":
                pieces.append(op["part"]["text"])
    assert len(pieces) > 5
    assert "".join(pieces).strip() == COUNTED
    assert wire.bytes("in") > len(COUNTED)


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_long_tasks_are_noted(notebook: Opener) -> None:
    page = notebook()
    tasks = LongTasks(page.page)
    page.page.evaluate(BUSY)
    assert any(took >= 110 for took in tasks.take())
    assert all(took < 110 for took in tasks.take())


def test_a_kernel_that_was_restarted_knows_nothing_and_answers(notebook: Opener) -> None:
    page = notebook("known = 1", "print('known' in globals())")
    page.run(1)
    page.restart()
    page.run(2)
    assert page.outputs(2)[0]["text"] == "False\n"


FIELD = """\
import anywidget

class Field(anywidget.AnyWidget):
    _esm = '''export default { render({ el }) {
      const field = document.createElement("textarea");
      field.dataset.lmSuppressShortcuts = "true";
      field.addEventListener("keydown", (event) => event.stopPropagation());
      el.append(field);
    } }'''

Field()
"""


def test_what_is_typed_into_a_widget_sets_off_no_shortcut(notebook: Opener) -> None:
    page = notebook(FIELD)
    page.run(1)
    field = page.output(1).locator("textarea")
    assert page.type_into(field, "add a\nbb, x y z") == []
    expect(field).to_have_value("add a\nbb, x y z")
    # The same key means something to Jupyter where a cell has the focus.
    prompt = page.cell(0).locator(".jp-InputPrompt")
    assert page.type_into(prompt, "m") == ["notebook:change-cell-to-markdown"]

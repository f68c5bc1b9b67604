"""The code of the views: once per kernel, whatever becomes of the model that holds it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets  # pyright: ignore[reportMissingTypeStubs]
import pytest

from agentnb.widgets.base import AgentWidget
from agentnb.widgets.code import bundle, code_message, code_reference
from agentnb.widgets.publisher import Publisher

# Both ends of one conversation; the widget stands for any of the package's.
CONTENT = {"type": "stop"}
BUFFERS = [b"one", b"two"]

# marimo as far as it is asked, with its way to tell that a notebook runs.
IN_MARIMO = """
import sys, types
marimo = types.ModuleType("marimo")
marimo.running_in_notebook = lambda: True
sys.modules["marimo"] = marimo
import ipywidgets
from agentnb.widgets.base import AgentWidget
from agentnb.widgets.publisher import Publisher
from agentnb.widgets.code import bundle
first, second = (AgentWidget("run", Publisher(print)) for _ in range(2))
assert first._code == second._code
assert first._code["model_id"] is None
assert first._esm == second._esm == bundle("run.js").read_text("utf-8")
assert first.get_state()["_esm"] == first._esm
"""

IN_A_FORK = """
import os
from agentnb.widgets.code import code_reference
before = code_reference("run")
child = os.fork()
if child == 0:
    mine = code_reference("run")
    same = mine["hash"] == before["hash"] and code_reference("run") == mine
    os._exit(0 if same and mine["model_id"] != before["model_id"] else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert code_reference("run") == before
"""


class _Hearing(Publisher):
    def __init__(self, heard: list[tuple[object, list[Any]]]) -> None:
        super().__init__(lambda message: None)
        self._heard = heard

    def first(self) -> dict[str, Any]:
        return {"seq": 0}

    def receive(self, content: object, buffers: Any = ()) -> None:
        self._heard.append((content, list(buffers)))


class Listening(AgentWidget):
    """Keeps what it hears and what it would send."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, list[Any]]] = []
        self.sent: list[Any] = []
        super().__init__("run", _Hearing(self.heard))
        # Before there is a way to the page, some goes nowhere.
        self.sent.clear()

    def _send(self, msg: Any, buffers: Any = None) -> None:
        self.sent.append((msg, buffers))

    def say(self, content: Any, buffers: Any = ()) -> None:
        data = {"method": "custom", "content": content}
        this: Any = self
        this._handle_msg({"content": {"data": data}, "buffers": buffers})


@pytest.fixture
def widget() -> Iterator[Listening]:
    shown = Listening()
    yield shown
    shown.close()


def state_of(model_id: str | None) -> dict[str, Any]:
    """What a page gets to know of a model, as a notebook keeps it."""
    every: dict[str, Any] = ipywidgets.Widget.get_manager_state()["state"]  # pyright: ignore
    return every[str(model_id)]


def test_widgets_bring_a_loader_and_name_one_model_with_the_code() -> None:
    widgets = [Listening(), Listening()]
    states = [state_of(widget.model_id)["state"] for widget in widgets]
    reference = code_reference("run")
    assert [state["_code"] for state in states] == [reference] * 2
    assert [len(state["_esm"]) < 2000 for state in states] == [True] * 2
    assert states[0]["kind"] == "run"
    assert states[0]["snapshot"] == {"seq": 0}
    assert not states[0].get("_css")
    for widget in widgets:
        widget.close()


def test_the_model_is_one_that_every_manager_knows() -> None:
    reference = code_reference("run")
    model = state_of(reference["model_id"])
    source = bundle("run.js").read_text("utf-8")
    assert (model["model_module"], model["model_name"]) == ("@jupyter-widgets/base", "WidgetModel")
    assert model["state"]["source"] == source
    assert reference["hash"] == hashlib.sha256(source.encode()).hexdigest()[:16]
    message = {"type": "code", "hash": reference["hash"], "source": source}
    assert code_message(reference["hash"]) == message
    assert code_message("another") is None


@pytest.fixture(autouse=True)
def new_page() -> None:
    """No model is open, as in a kernel that has shown nothing yet."""
    ipywidgets.Widget.close_all()


def test_a_run_s_view_comes_without_the_code_of_the_others() -> None:
    run, chat, monitor = (code_reference(kind) for kind in ("run", "chat", "monitor"))
    assert chat == monitor
    assert run["hash"] != chat["hash"]
    sources = [state_of(each["model_id"])["state"]["source"] for each in (run, chat)]
    assert sources == [bundle(name).read_text("utf-8") for name in ("run.js", "widget.js")]
    assert len(sources[0]) < len(sources[1])


def test_where_there_is_the_code_of_all_views_a_run_s_view_has_that() -> None:
    chat = code_reference("chat")
    assert code_reference("run") == chat
    ipywidgets.Widget.close_all()
    assert code_reference("run")["hash"] != chat["hash"]


def test_a_model_that_was_closed_is_made_anew() -> None:
    before = code_reference("run")
    ipywidgets.Widget.close_all()
    after = code_reference("run")
    assert after["hash"] == before["hash"]
    assert after["model_id"] != before["model_id"]
    assert state_of(after["model_id"])["state"]["source"]
    assert code_reference("run") == after


@pytest.mark.parametrize("script", [IN_MARIMO, IN_A_FORK])
def test_other_surroundings(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_page_that_asks_gets_the_code(widget: Listening) -> None:
    widget.say({"type": "code"})
    assert widget.heard == []
    content = code_message(state_of(widget.model_id)["state"]["_code"]["hash"])
    assert content is not None
    assert widget.sent == [({"method": "custom", "content": content}, [])]


@pytest.mark.parametrize("content", [CONTENT, "code", None, ["code"], {}])
def test_everything_else_is_for_the_widget(widget: Listening, content: Any) -> None:
    widget.say(content, BUFFERS)
    assert widget.heard == [(content, BUFFERS)]
    assert widget.sent == []


def test_a_bundle_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"not built: .*widget\.js is missing.*npm"):
        bundle("widget.js", directory=tmp_path)


def test_a_bundle_that_is_built_is_taken(tmp_path: Path) -> None:
    (tmp_path / "widget.js").write_text("")
    assert bundle("widget.js", directory=tmp_path) == tmp_path / "widget.js"

"""The line of `%%agent`."""

from __future__ import annotations

from types import MethodType

import pytest
from IPython.core.oinspect import getdoc  # pyright: ignore[reportUnknownVariableType]  # untyped

from agentnb.errors import RequestError
from agentnb.notebook.magics import AgentMagics
from agentnb.notebook.options import CellOptions, cell_parser, parse_cell_line, usage


def test_nothing_but_an_agent() -> None:
    assert parse_cell_line("finance_agent") == CellOptions(agent="finance_agent")
    assert parse_cell_line("  ") == CellOptions()


def test_every_option() -> None:
    assert parse_cell_line(
        "operativus:fin -o answer --session 's 1' --bg --quiet --format json --param top_p=0.5 "
        "--param 'name=a b' --param flag=true --output-type Quote --media a.png --media b.png "
        "--timeout 2.5"
    ) == CellOptions(
        agent="operativus:fin",
        output="answer",
        session="s 1",
        background=True,
        quiet=True,
        format="json",
        params={"top_p": 0.5, "name": "a b", "flag": True},
        output_type="Quote",
        media=("a.png", "b.png"),
        timeout=2.5,
    )


def test_a_table_and_its_settings() -> None:
    assert parse_cell_line(
        "told << fin --over 'df[df.price > 10]' --concurrency 4 --rpm 30 --retries 0 "
        "--checkpoint done.sqlite --on-error raise --prefix new_ --param top_p=0.5"
    ) == CellOptions(
        agent="fin",
        output="told",
        over="df[df.price > 10]",
        mapping={
            "concurrency": 4,
            "rpm": 30.0,
            "retries": 0,
            "checkpoint": "done.sqlite",
            "on_error": "raise",
            "prefix": "new_",
        },
        params={"top_p": 0.5},
    )


def test_binding_by_arrows() -> None:
    assert parse_cell_line("answer << fin --new") == CellOptions(
        agent="fin", output="answer", new=True
    )
    assert parse_cell_line("answer<<fin").output == "answer"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fin --sesion x", "Did you mean '--session'?"),
        ("fin --over df --concurency 3", "Did you mean '--concurrency'?"),
        ("fin --colour red", "%agent help"),
        ("fin --format pdf", "invalid choice"),
        ("fin --param novalue", "NAME=VALUE"),
        ("fin --new --session s", "contradict"),
        ("x << fin -o y", "not by both"),
        ("fin -o 1x", "no name for a variable"),
        ("fin 'open", "No closing quotation"),
        ("fin --session", "expected one argument"),
        ("fin --timeout soon", "invalid float value: 'soon'"),
        ("fin --param timeout=3", "what you mean is --timeout"),
        ("fin --ses s", "--ses"),
        ("fin --over df --bg", "--bg and --over do not go together"),
        ("fin --over df --new", "each row begins a session of its own"),
        ("fin --over df --session s", "each row begins a session of its own"),
        ("fin --over df --format json", "not as json"),
        ("fin --over df --param rpm=3", "What you mean is --rpm."),
        ("fin --over df --param client=c", "client is no parameter"),
        ("fin --over df --on-error stop", "invalid choice: 'stop'"),
        ("fin --concurrency 3", "--concurrency goes with --over"),
        ("fin --on-error keep", "--on-error goes with --over"),
    ],
)
def test_mistakes(line: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_cell_line(line)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_option_is_in_the_help() -> None:
    options = cell_parser().options
    assert {"--session", "--concurrency"} <= options.keys()
    assert all(option in usage() for option in options)


def test_the_help_of_the_magic_has_the_options() -> None:
    """As IPython shows it of the method that is registered, for ``%%agent?``."""
    shown = getdoc(MethodType(AgentMagics.agent_cell, object()))
    assert shown is not None
    assert shown.startswith("Send the cell to an agent.")
    assert all(option in shown for option in cell_parser().options)

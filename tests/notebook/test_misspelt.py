"""`%agent` with words that it does not know, and names that mean two things, in a real kernel."""

from __future__ import annotations

import pytest

from tests.notebook.conftest import Kernel


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("lst", "%agent has no command 'lst'. Did you mean 'list'?"),
        ("hist", "%agent has no command 'hist'. Did you mean 'history'?"),
        ("help lst", "%agent has no command 'lst'. Did you mean 'list'?"),
        ("help zzz", "%agent has no command 'zzz'. It has: chat, list,"),
        ("help list now please", "%agent help takes [COMMAND ACTION]; 'please' is too much."),
        ("config now", "%agent config takes no arguments; 'now' is too much."),
        ("config --x", "%agent config has no option '--x'. It takes no arguments."),
        ("list --hepl", "%agent list has no option '--hepl'. Did you mean '--help'?"),
        ("list operatvus", "There is no platform 'operatvus'. Did you mean 'operativus'?"),
        ("list seekr runtools", "%agent list takes [PLATFORM]; 'runtools' is too much."),
        ("history --statsu", "unrecognized arguments: --statsu. Did you mean '--status'?"),
    ],
)
def test_it_says_what_is_wrong_and_what_may_be_meant(kernel: Kernel, line: str, says: str) -> None:
    cell = kernel.run(f"%agent {line}")
    assert cell.reply["status"] == "error"
    assert says in cell.reply["evalue"]


@pytest.mark.parametrize("line", ["help list", "list --help", "help history", "help history list"])
def test_the_help_of_one_command(kernel: Kernel, line: str) -> None:
    cell = kernel.run(f"%agent {line}")
    assert cell.ok, cell.reply


def test_a_function_with_the_name_of_an_alias_says_which_one_ran(kernel: Kernel) -> None:
    line = "'both' is a function of this notebook, not the alias of sandbox:echo"
    assert kernel.run("def both(prompt): return 'the function'").ok
    for command, is_said in (("%agent status", False), ("%agent alias both sandbox:echo", True)):
        assert kernel.run(command).ok
        assert kernel.run("%%agent both -q -o ran\nBern").ok
        cell = kernel.run("print(ran.text, ran.view().notice, sep='; ')")
        assert cell.stdout == f"the function; {line if is_said else None}\n"

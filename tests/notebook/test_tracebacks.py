"""An error of this package: where the user's code met it and what it says; all of it on demand."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.children import python
from tests.notebook.conftest import Kernel

UNKNOWN = "ConfigError: There is no platform 'sekr'. Did you mean 'seekr'?"


def shown(kernel: Kernel, code: str) -> list[str]:
    (error,) = kernel.run(textwrap.dedent(code).strip()).of("error")
    lines: list[str] = error["traceback"]
    return lines


@pytest.mark.parametrize(
    "code",
    [
        "agentnb.agent('sekr:a')",
        "agentnb.agent('sekr:a').run('x')",
        "agentnb.attach('sekr:a', 'run_1')",
        "agentnb.compare(['sekr:a', 'sandbox:echo'], 'x')",
    ],
)
def test_of_a_cell_that_is_one_line_it_is_one_line(kernel: Kernel, code: str) -> None:
    assert shown(kernel, code) == [UNKNOWN]


def test_of_a_longer_cell_the_line_is_named(kernel: Kernel) -> None:
    first, source, last = shown(
        kernel,
        """
        name = "sekr:a"

        agentnb.agent(name)
        """,
    )
    assert first.startswith("Cell In[")
    assert first.endswith("], line 3")
    assert (source, last) == ("    agentnb.agent(name)", UNKNOWN)


def test_the_functions_that_led_there_are_named(kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "helpers.py"
    file.write_text("def asking(what):\n    return what('x')\n")
    kernel.run(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom helpers import asking")
    kernel.run("async def ask(what):\n    return await asking(what)")
    told = shown(kernel, "await ask(agentnb.agent('sandbox:nope').arun)")
    assert [line.partition(", ")[2] for line in told[:4:2]] == ["line 1", "line 2, in ask"]
    assert told[1:4:2] == [
        "    await ask(agentnb.agent('sandbox:nope').arun)",
        "    return await asking(what)",
    ]
    assert told[-1].startswith("RunFailedError: sandbox answered 404 to POST http://127.0.0.1:")
    told = shown(kernel, "asking(agentnb.agent('sandbox:nope').run)")
    assert f'File "{file}", line 2, in asking' in told
    assert not any("agentnb/" in line for line in told)


def test_a_mistake_in_a_platform_can_be_found(kernel: Kernel) -> None:
    kernel.run(
        """
from agentnb.agents import Agent
from agentnb.platforms.base import Capabilities

class Mistaken:
    name = "mistaken"
    capabilities = Capabilities()

    async def stream(self, request):
        yield [self.events]
"""
    )
    told = shown(kernel, "Agent(Mistaken(), 'a').run('x')")
    assert any(line.startswith("Cell In[") and line.endswith(", in stream") for line in told)
    assert "    yield [self.events]" in told
    assert told[-1].startswith("RunFailedError: AttributeError: ")


def test_all_of_it_is_there_for_who_asks(kernel: Kernel) -> None:
    assert shown(kernel, "agentnb.agent('sekr:a')") == [UNKNOWN]
    whole = "".join(shown(kernel, "%tb Verbose"))
    assert "resolve" in whole
    assert "sekr" in whole
    kernel.run("%xmode Verbose")
    try:
        assert len(shown(kernel, "agentnb.agent('sandbox:nope').run('x')")) > 3
    finally:
        kernel.run("%xmode Context")
    kernel.run("%xmode Minimal")
    try:
        assert shown(kernel, "name = 1\nagentnb.agent('sekr:a')") == [UNKNOWN]
    finally:
        kernel.run("%xmode Context")


def test_other_errors_are_shown_as_ever(kernel: Kernel) -> None:
    told = shown(kernel, "agentnb.agent('sandbox:echo').run()")
    assert len(told) > 2
    assert "TypeError" in told[-1]


def test_in_a_terminal_too() -> None:
    """And Python's own tracebacks stay whole."""
    done = python("""
        import io, sys, traceback
        from IPython.terminal.interactiveshell import TerminalInteractiveShell as Shell

        shell = Shell.instance(simple_prompt=True, colors="nocolor")
        shell.run_cell("import agentnb")
        out, sys.stdout = sys.stdout, io.StringIO()
        shell.run_cell("agentnb.agent('sekr:a')", store_history=True)
        shown, sys.stdout = sys.stdout.getvalue(), out
        assert shown.startswith("ConfigError: There is no platform 'sekr'."), shown
        assert shown.count("\\n") == 1, shown
        import agentnb
        try:
            agentnb.agent("sekr:a")
        except agentnb.ConfigError:
            assert "agents.py" in traceback.format_exc()
            print("whole")
    """)
    assert done.stdout.endswith("whole\n")

"""What a notebook saves of a cell whose run brought megabytes."""

from __future__ import annotations

import json

import pytest

from tests.notebook.conftest import Kernel

HUGE = 5_000_000
AGENT = f"""
from agentnb.event import RunFailed, TextDelta, ToolCallFinished, ToolCallStarted

@agentnb.agent
def huge(prompt):
    yield ToolCallStarted(call_id="a", name="read", arguments="")
    yield ToolCallFinished(call_id="a", result="r" * {HUGE})
    yield ToolCallStarted(call_id="b", name="read", arguments="")
    yield ToolCallFinished(call_id="b", error="e" * {HUGE})
    yield TextDelta("That was much.")
    yield RunFailed(message="f" * {HUGE})
"""


@pytest.mark.parametrize("attended", [True, False], ids=["attended", "unattended"])
@pytest.mark.parametrize("form", ["rich", "text", "json"])
def test_huge_results_and_errors_are_cut_in_the_outputs_alone(
    kernel: Kernel, form: str, attended: bool
) -> None:
    assert kernel.run(AGENT).ok
    cell = kernel.run(f"%%agent huge -f {form} -o kept\n?", attended=attended)
    assert not cell.ok
    sizes = [(len(json.dumps(content)), kind) for kind, content in cell.messages]
    assert max(sizes)[0] < 500_000, max(sizes)
    (error,) = cell.of("error")
    assert error["ename"] == "RunFailedError"
    assert error["evalue"].endswith(f"… ({HUGE - 4000:,} more characters)")
    whole = kernel.run(
        "print(len(kept.tool_calls[0].result), len(kept.tool_calls[1].error), len(kept.error))"
    )
    assert whole.stdout == f"{HUGE} {HUGE} {HUGE}\n"

"""What a user prints of a run and of tables commands no terminal."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

import agentnb
from agentnb.event.types import RunFailed
from agentnb.tables.frame import infer_frame, table

HOSTILE = "a\x1b[31mb\x9b0m\u202ec\u2066d\x07"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("dtype", ["string", "category"])
def test_a_table(dtype: str) -> None:
    made = table([{"a": HOSTILE}], {"a": dtype})
    assert not ACTING.search(made.to_string())
    assert "␛" in made.to_string()
    assert "⟨U+202E⟩" in made.to_string()


def test_a_table_of_guessed_columns() -> None:
    made = infer_frame(["a", "b"], [[HOSTILE, 1], [HOSTILE, HOSTILE]])
    assert not ACTING.search(made.to_string())


def test_an_error_of_a_run() -> None:
    async def fails(prompt: str) -> AsyncIterator[RunFailed]:
        yield RunFailed(message=HOSTILE)

    run = agentnb.agent(fails).run("x", check=False)
    assert run.error is not None
    assert not ACTING.search(run.error)
    # As it came, for who looks closer.
    assert next(e for e in run.events if isinstance(e, RunFailed)).message == HOSTILE

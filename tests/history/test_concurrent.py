"""Several kernels that write at once: no run is lost, and nobody meets a lock."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from agentnb.store.schema import content, event_chunk, process, run
from agentnb.store.store import Store
from tests.history.recorded import recorded, rows

KERNELS = 4
RUNS = 40
LONG = 120.0

KERNEL = f"""
import sys
import agentnb
from agentnb.store.recorder import flush

def brief(prompt):
    for number in range(20):
        yield f"{{prompt}}.{{number}} "

sys.stdin.readline()
agent = agentnb.agent(brief)
for number in range(0, {RUNS}, 4):
    runs = [agent.start(str(number + n)) for n in range(4)]
    for run in runs:
        run.wait(60)
    # The next ones in a transaction of their own.
    assert flush(60)
    print(*(run.local_id for run in runs), flush=True)
"""


def test_kernels_that_write_at_once(history_store: Store, history_url: str) -> None:
    kernels = [
        subprocess.Popen(
            [sys.executable, "-W", "default", "-c", textwrap.dedent(KERNEL)],
            env={**os.environ, "AGENTNB_HISTORY": history_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(KERNELS)
    ]
    try:
        for kernel in kernels:
            assert kernel.stdin is not None
            kernel.stdin.write("go\n")
            kernel.stdin.flush()
        said = [kernel.communicate(timeout=LONG) for kernel in kernels]
    finally:
        for kernel in kernels:
            kernel.kill()
            kernel.wait()
    # A lock that somebody met would be warned of there.
    assert [errors for _, errors in said] == [""] * KERNELS
    keys = [out.split() for out, _ in said]
    assert [len(of_one) for of_one in keys] == [RUNS] * KERNELS
    found = rows(history_store, run)
    assert {row["key"] for row in found} == {key for of_one in keys for key in of_one}
    assert {row["status"] for row in found} == {"completed"}
    assert len(rows(history_store, content)) == KERNELS * RUNS
    assert {row["run"] for row in rows(history_store, event_chunk)} == {row["key"] for row in found}
    assert len(rows(history_store, process)) == KERNELS
    for of_one in keys:
        last = recorded(history_store, of_one[-1])
        assert last.content["text"] == "".join(f"{RUNS - 1}.{number} " for number in range(20))
        assert len(last.events) == 22

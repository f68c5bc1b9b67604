"""Agents for the cells of these tests; copied beside each notebook and imported there.

A stream goes on when the test says so, by a file in the notebook's folder: so a test can look at a
moment of it for as long as it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import agentnb
from agentnb.event.types import (
    Event,
    ReasoningDelta,
    RunFailed,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)


async def until(name: str) -> None:
    """Wait for the test to put a file of this name here."""
    while not Path(name).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
        await asyncio.sleep(0.02)


async def steps(prompt: str) -> AsyncIterator[str]:
    yield "First things first. "
    await until("second")
    yield "Then the second. "
    await until("third")
    yield "And the third, *the last*."
    await until("end")


async def endless(prompt: str) -> AsyncIterator[str]:
    try:
        yield "What was said **before** the end."
        await asyncio.Event().wait()
    finally:
        Path("closed").touch()  # noqa: ASYNC240


async def failing(prompt: str) -> AsyncIterator[Event]:
    yield ReasoningDelta("Something is about to go wrong.")
    yield TextDelta("The figures are as follows: ")
    await until("fail")
    yield RunFailed(message="The model is overloaded.", code="OVERLOADED")


def nothing(prompt: str) -> str:
    return ""


async def counting(prompt: str) -> AsyncIterator[str]:
    for number in range(200):
        yield f"{number:04d} "
        await asyncio.sleep(0.01)


COUNTED = " ".join(f"{number:04d}" for number in range(200))

NOSY = """\
An image ![chart](https://images.example/chart.png) and ![](//images.example/p.gif),
a [link](https://links.example/page), an <img src="https://raw.example/x.png">,
<https://auto.example/>, https://bare.example/ and
<script src="https://script.example/x.js"></script>.

![reference][r]

<iframe src="https://frame.example/"></iframe>
<link rel="stylesheet" href="https://style.example/x.css">
<style>@import url(https://style.example/y.css);</style>
<div style="background: url(https://background.example/z.png)">styled</div>
<button data-commandlinker-command="notebook:run-all-cells">Run</button>

[r]: https://reference.example/r.png "https://title.example/"
"""


async def nosy(prompt: str) -> AsyncIterator[Event]:
    yield ReasoningDelta(NOSY)
    yield ToolCallStarted(call_id="1", name="fetch", arguments='{"url": "https://tool.example/"}')
    yield ToolCallFinished(call_id="1", result=NOSY)
    yield TextDelta(NOSY)
    await until("end")


REPORT = """\
## Quarterly summary

Revenue grew by **12.4 %** over the year, mostly in *services*; `gross_margin` stayed where it was.
See [the filing](https://filings.example/q3) for details.

| Segment | Revenue (m$) | Change | Comment |
|:--------|-------------:|:------:|---------|
| Services | 1,204.5 | +18 % | new contracts in the north |
| Devices | 873.2 | −3 % | supply was short until August |
| Other | 40.0 | ±0 % | |

1. First, the figures were read.
2. Then they were compared:
   - with the year before,
   - with the plan.
3. At last they were written down.

```python
def growth(now: float, before: float) -> float:
    \"\"\"Return the growth from one figure to the next, the figure before not being nought.\"\"\"
    return (now - before) / before
```

> Figures are rounded; sums may differ from the parts.

- [x] read
- [ ] signed off

A long word:
abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm.
Emoji 🚀 and עברית have their place, too.
"""


async def report(prompt: str) -> AsyncIterator[Event]:
    yield ReasoningDelta("The question asks for a summary. ")
    yield ReasoningDelta(
        "First the figures have to be **looked up**, then compared.\n\n- plan\n- year"
    )
    await until("tools")
    yield ToolCallStarted(
        call_id="1", name="get_figures", arguments='{"quarter": "Q3", "segments": ["all"]}'
    )
    yield ToolCallFinished(call_id="1", result='{"services": 1204.5, "devices": 873.2}')
    yield ToolCallStarted(
        call_id="2", name="compare_with_the_plan_of_the_year_before", arguments='{"plan": "2025"}'
    )
    yield ToolCallFinished(call_id="2", error="No plan of that year is known.")
    yield ToolCallStarted(call_id="3", name="get_comments", arguments="{}")
    await until("answer")
    yield ToolCallFinished(call_id="3", result="Supply was short until August.")
    for at in range(0, len(REPORT), 60):
        yield TextDelta(REPORT[at : at + 60])
        await asyncio.sleep(0.005)
    yield UsageReported(
        usage=Usage(
            input_tokens=1840,
            output_tokens=512,
            total_tokens=2352,
            cached_tokens=1024,
            reasoning_tokens=96,
        ),
        model="sample-model-1",
    )
    await until("end")


Steps = agentnb.agent(steps)
Endless = agentnb.agent(endless)
Failing = agentnb.agent(failing)
Nothing = agentnb.agent(nothing)
Counting = agentnb.agent(counting)
Nosy = agentnb.agent(nosy)
Report = agentnb.agent(report)

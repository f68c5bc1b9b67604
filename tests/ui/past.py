"""Runs for a history to look at, and what is looked for in a narrow page."""

from __future__ import annotations

#: What stands out of the view at its right.
TOO_WIDE = """view => {
  const edge = view.getBoundingClientRect().right;
  const wide = (e) => e.getBoundingClientRect().right > edge && !e.closest('.agentnb-said');
  return [...view.querySelectorAll('*')].filter(wide).map((e) => e.outerHTML.slice(0, 90));
}"""

#: Keeps the history beside the notebook, and fills it: 45 runs, of which three failed.
PAST = """
import agentnb
from agentnb.event import RunFailed, TextDelta, ToolCallFinished, ToolCallStarted
from agentnb.event import Usage, UsageReported
agentnb.history.use("history.sqlite")

QUESTIONS = [
    "What is the current NVDA stock price, and why did it move so much since the last quarter?",
    "Summarise the filing.",
    "Compare the margins of the three largest suppliers of the region, and say which of them would "
    "be hit hardest by a change of the tariff; name your sources and how sure you are of each.",
    "Wie hoch ist der Umsatz in München?",
    "Which <b>tags</b> & signs are text?",
]

def finance_agent(prompt):
    yield ToolCallStarted(call_id="1", name="get_price", arguments='{"symbol": "NVDA"}')
    yield ToolCallFinished(call_id="1", result="142.50")
    yield TextDelta("It has **zebras** in it." if prompt.endswith("39") else "It is *142.50*.")
    length = len(prompt)
    usage = Usage(input_tokens=120, output_tokens=length, cost_usd=length / 9000)
    yield UsageReported(usage=usage)

def research(prompt):
    yield TextDelta("Several sources agree.")
    if prompt.endswith(("7", "22")):
        yield RunFailed(message="The model is overloaded: try later.", code="OVERLOADED")

for number in range(45):
    asked = f"{QUESTIONS[number % 5]} {number}"
    agentnb.agent((finance_agent, research)[number % 3 == 1]).run(asked, check=False)
"""

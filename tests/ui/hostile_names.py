"""Names that want to be more than names, for agents, tools, models, sessions and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from playwright.sync_api import Locator

HOST: Final = "attacker.example"
NAMES: Final = (
    f"<img src=//{HOST}/a.png onerror=alert(1)>",
    f"</script><script src=//{HOST}/b.js></script>",
    f"![x](https://{HOST}/c.png) [y](javascript:alert(1)) https://{HOST}/d",
    f"<svg onload=alert(1)><image href='//{HOST}/e'/></svg>",
    f'"><b onclick=alert(1) style="position:fixed;inset:0;background:url(//{HOST}/f)">',
    f"$\\href{{javascript:alert(1)}}{{x}}$ \\(\\includegraphics{{https://{HOST}/g}}\\)",
    "user\u202egnp.exe\u2066 and \u2067more",
    "see" + "".join(chr(0xE0000 + ord(letter)) for letter in "the key") + " here",
    "ze\u200bro\ufeff \u2060\u00ad",
    "\x1b]0;title\x07\x1b[2J\x9b31mred\x9d0;x\x9c \x08\x7f",
    "first\nsecond\r\nthird\x00\x0b\x85fourth\u2028fifth",
    "half \ud800 and none \ufffe\uffff",
    "x" * 1_000_000,
)

_AGENTS: Final = """\
import json
from pathlib import Path
import agentnb
from agentnb.agents import Agent
from agentnb.event import (
    ApprovalRequested, FollowupsSuggested, RunFailed, RunStarted, ToolCallFinished, ToolCallStarted,
    Usage, UsageReported,
)
from notebook_agents import until

agentnb.history.use("names.sqlite")
names = json.loads(Path({path!r}).read_text("utf-8"))
everything = " ".join(names)[:20_000]

def named(own):
    async def say(prompt):
        yield RunStarted(run_id=own, session_id=own, model=own, agent=own)
        for number, name in enumerate(names):
            yield ToolCallStarted(call_id=name, name=name, arguments="{{}}")
            yield ToolCallFinished(call_id=name, error=name if number % 2 else None)
        yield ToolCallStarted(call_id="open", name=own)
        yield FollowupsSuggested(followups=(own, everything))
        yield UsageReported(usage=Usage(total_tokens=12), model=own)
        if prompt.startswith("Ask"):
            yield ApprovalRequested(
                approval_id=own, message=everything, tool=everything, arguments=everything
            )
        await until("end")
        yield RunFailed(message=everything, code=own)
    say.__name__ = say.__qualname__ = own
    made = agentnb.agent(say)
    return Agent(made.platform, made.id, title=own)

agents = [named(name) for name in names]
runs = [agent.start(agent.title) for agent in agents]"""

# What loads, runs or acts; the menu of a chart is the frontend's own.
_ACTIVE: Final = (
    "img, script, iframe, link, object, embed, video, audio, base, meta, image, use, "
    "mjx-container, math, [onload], [onclick], [onerror], [style*='url('], "
    "[style*='position:fixed'], a:not(.vega-actions a), form:not(.vega-bindings)"
)
# What is shown or read out though it is not to be seen, or is longer than anybody reads.
_UNSEEN: Final = r"""(where) => {
  const unseen =
    /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff]|[\u{e0000}-\u{e007f}]/u;
  const found = [];
  const look = (text, element) => {
    if (unseen.test(text) || text.length > 110_000)
      found.push([element.outerHTML.slice(0, 80), text.slice(0, 80), text.length]);
  };
  const texts = document.createTreeWalker(where, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) look(texts.currentNode.data, texts.currentNode.parentElement);
  for (const element of where.querySelectorAll("*"))
    for (const { name, value } of element.attributes)
      // By its value a choice is told to the kernel.
      if (element.localName !== "option" || name !== "value") look(value, element);
  return found;
}"""
# As wide as its column; what is wider in it scrolls by itself.
_TOO_LARGE: Final = """(views) => views
  .map((view) => [view.className, view.scrollWidth - view.clientWidth, view.offsetHeight])
  .filter(([, over, height]) => over > 1 || height > 8000)"""


def names_code(folder: Path) -> str:
    """Return the code of a cell that makes an agent of each name; what they are is a file."""
    path = folder / "names.json"
    path.write_text(json.dumps(NAMES), "utf-8")
    return _AGENTS.format(path=str(path))


def check_names(where: Locator) -> None:
    """Check that in an output nothing acts, nothing is hidden and nothing is without end."""
    active: list[str] = where.locator(_ACTIVE).evaluate_all(
        "(all) => all.map((one) => one.outerHTML.slice(0, 200))"
    )
    assert active == [], active
    unseen: list[object] = where.evaluate(_UNSEEN)
    assert unseen == [], unseen
    large: list[object] = where.locator(".agentnb").evaluate_all(_TOO_LARGE)
    assert large == [], large

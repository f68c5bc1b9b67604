"""An agent that says everything hostile in every place, and what must come of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from playwright.sync_api import Locator, Page, expect

from tests.faults.hostile import texts

# Longer ones are hostile by their length alone, which others test.
_LONGEST: Final = 700
LAST: Final = "And that was all."

_AGENT: Final = """\
import json
from pathlib import Path
import agentnb
from agentnb.event import (
    FollowupsSuggested, ReasoningDelta, RunFailed, RunStarted, TextDelta,
    ToolCallFinished, ToolCallStarted,
)
from {module} import until

said = json.loads(Path({path!r}).read_text("utf-8"))

async def hostile(prompt):
    first = said[0]
    yield RunStarted(run_id=first, session_id=first, model=first)
    for number, text in enumerate(said):
        yield ReasoningDelta(text)
        yield ToolCallStarted(call_id=f"a{{number}}", name=text, arguments=text)
        yield ToolCallFinished(call_id=f"a{{number}}", result=text)
        yield ToolCallStarted(call_id=f"b{{number}}", name="broken")
        yield ToolCallFinished(call_id=f"b{{number}}", error=text)
        for at in range(0, len(text), 90):
            yield TextDelta(text[at : at + 90])
    yield FollowupsSuggested(followups=tuple(said[:20]))
    yield ToolCallStarted(call_id="last", name="last")
    yield ToolCallFinished(call_id="last", result="x")
    yield TextDelta({last!r})
    await until("end")
    yield RunFailed(message=" ".join(said)[:1500], code=first)

Hostile = agentnb.agent(hostile)"""


def agent_code(folder: Path, *, module: str = "notebook_agents") -> str:
    """Return the code of a cell that makes the agent; what it says is a file in ``folder``."""
    path = folder / "hostile.json"
    path.write_text(json.dumps([text[:_LONGEST] for text in texts().values()]), "utf-8")
    return _AGENT.format(path=str(path), last=LAST, module=module)


# What loads, runs or reaches into the page, in whatever frontend.
_ACTIVE: Final = ", ".join(
    [
        *("img", "script", "iframe", "link", "object", "embed", "video", "audio", "form", "base"),
        *("meta", "portal", "slot", "template", "noscript", "select", "body", "xmp"),
        *("svg image", "svg use", "svg script", "animate", "marquee"),
        *("[style*='url(']", "[style*='position:fixed']", "[srcset]"),
        *("[data-commandlinker-command]",),
        *(".jp-Dialog", ".jp-mod-accept", ".lm-Widget.agentnb-copy", "#main", "#cookie", "#root"),
        *("[onload]", "[onclick]", "[onerror]", "[ontoggle]", "[onbegin]", "[name=body]"),
        *("jupyter-widget-mount-point", "x-foo", "plaintext", "portal", "frameset"),
    ]
)  # fmt: skip


_FORMULAS: Final = "mjx-container, .MathJax, math"


def check_inert(where: Locator, *, drawn: bool = False) -> None:
    """Check that an output that shows the agent's words holds nothing that acts, all unfolded.

    Nor is there a formula or a diagram, unless they may be ``drawn`` by the frontend; a diagram is
    an image that holds itself.
    """
    where.locator("details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    found: list[str] = where.locator(_ACTIVE).evaluate_all(
        "(all) => all.map((one) => one.outerHTML.slice(0, 200))"
    )
    if drawn:
        found = [one for one in found if not one.startswith('<img src="data:image/svg+xml,')]
    else:
        expect(where.locator(_FORMULAS)).to_have_count(0)
    assert found == [], found
    links: list[str] = where.locator("a").evaluate_all("(all) => all.map((one) => one.href)")
    assert links
    for link in links:
        # JupyterLab makes links of bare addresses by itself, those of `ftp` too.
        known = ("https:", "http:", "mailto:", *(("ftp:",) if drawn else ()))
        assert link.startswith(known), link


class Dialogs:
    """What a page asked its reader; a script that ran would say so."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("dialog", lambda dialog: self.said.append(dialog.message))

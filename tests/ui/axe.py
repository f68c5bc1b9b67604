"""What axe-core finds wrong in a part of a page, for people who can't see, hear or point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bootstrap
import pytest
from playwright.sync_api import Locator, Page

_AXE = bootstrap.JS / "node_modules" / "axe-core" / "axe.min.js"

# Runs on the element itself, wherever it stands: also in the shadow root of a widget.
#
# The order of headings is that of the page around: an answer's begin some levels down, below those
# of the notebook, whatever these are.
_RUN = """async (element, ignored) => {
  const off = ['heading-order', ...ignored];
  const rules = Object.fromEntries(off.map((rule) => [rule, { enabled: false }]));
  const { violations } = await axe.run(element, { rules });
  return violations.flatMap(({ id, impact, help, nodes }) =>
    nodes.map(({ target, html, failureSummary }) => ({
      rule: id,
      impact,
      help,
      target: target.flat().join(' '),
      html: html.slice(0, 160),
      summary: failureSummary,
    })));
}"""

# Jupyter's sanitizer takes every tabindex away, and browsers let the keyboard scroll what has no
# element to be focused in it by themselves.
_STATIC_IGNORED = ["scrollable-region-focusable"]


def violations(part: Locator, *, static: bool = False) -> list[str]:
    """Return what is wrong in each element that ``part`` stands for, each thing with its place.

    With ``static`` the part is what is left in the file when nothing live is there any more.
    Waits for nothing but that there is at least one such element.
    """
    part.first.wait_for()
    _load(part.page)
    ignored = _STATIC_IGNORED if static else []
    found = [one for element in part.all() for one in element.evaluate(_RUN, ignored)]
    return [_told(one) for one in found]


def check_accessible(part: Locator) -> None:
    """Fail where anything is wrong, and say what and where."""
    complain({"now": violations(part)})


def complain(found: Mapping[str, Sequence[str]]) -> None:
    """Fail where anything was found, and say in which state it was, what, and where."""
    lines = [line for state, told in found.items() for line in (f"- {state}: {len(told)}", *told)]
    if any(found.values()):
        pytest.fail("\n".join(["axe-core found:", *lines]), pytrace=False)


def _load(page: Page) -> None:
    assert _AXE.is_file(), f"{_AXE} is missing; `npm ci` in js/ brings it"
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=_AXE)


def _told(found: dict[str, Any]) -> str:
    summary = "\n".join(f"    {line.strip()}" for line in found["summary"].splitlines())
    place = f"  at {found['target']}\n  {found['html']}"
    return f"{found['rule']} ({found['impact']}): {found['help']}\n{place}\n{summary}"

"""How long a page's main thread was busy at one go."""

from __future__ import annotations

from playwright.sync_api import Page

_OBSERVE = """() => {
  window.longTasks = [];
  window.longTaskObserver = new PerformanceObserver((list) => {
    window.longTasks.push(...list.getEntries().map((entry) => entry.duration));
  });
  window.longTaskObserver.observe({ type: 'longtask' });
}"""

# What was noted, but not yet told, is asked for; a task is noted only once it has ended.
_TAKE = """async () => {
  await new Promise((resolve) => setTimeout(resolve, 0));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
  const last = window.longTaskObserver.takeRecords().map((entry) => entry.duration);
  return [...window.longTasks.splice(0), ...last];
}"""


class LongTasks:
    """Notes the tasks of 50 ms and more from the moment it is made, until the page is reloaded."""

    def __init__(self, page: Page) -> None:
        self._page = page
        page.evaluate(_OBSERVE)

    def take(self) -> list[float]:
        """Return how long each one took, in milliseconds, since the last call of this."""
        found: list[float] = self._page.evaluate(_TAKE)
        return found

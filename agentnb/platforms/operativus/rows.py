"""Rows of one server's lists: read over their pages, and what they tell of its clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentnb._http import HttpClient, parse_date
from agentnb.platforms.operativus.responses import Page, read_page
from agentnb.platforms.operativus.times import ServerTimes, Window

__all__ = ["PAGE_SIZE", "Rows"]

PAGE_SIZE: Final = 100
"""How many rows a page is asked to have."""

_REMEMBERED: Final = 256
# How far a run's start there may be from where this machine has it.
_EARLY: Final = timedelta(seconds=5)
_LATE: Final = timedelta(minutes=2)
# The fields of a run that hold times.
_TIMES: Final = ("createdAt", "startedAt", "updatedAt", "completedAt")


class Rows:
    """Asks one server for rows, and learns from the times in them."""

    def __init__(self, http: HttpClient, times: ServerTimes) -> None:
        self._http = http
        #: Reads the server's times, and learns from what it answers.
        self.times = times
        # When runs began: by the server's clock as its Date header has it, or (True) by ours.
        self._began: OrderedDict[str, tuple[Window, bool]] = OrderedDict()

    async def pages(self, path: str, params: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Yield every entry of a paged list, each once, however the server forms its pages."""
        seen: set[str] = set()
        number = 0
        while True:
            query = {**params, "page": str(number), "size": str(PAGE_SIZE)}
            page = await self.page(path, query)
            fresh = 0
            for item in page.items:
                key = str(item.get("id") or item.get("runId") or item)
                if key not in seen:
                    seen.add(key)
                    fresh += 1
                    yield item
            number += 1
            # A server that knows no pages answers the same list for ever: nothing new ends it.
            if page.last or not fresh or (page.last is None and len(page.items) < PAGE_SIZE):
                return

    async def page(self, path: str, query: Mapping[str, str] | None = None) -> Page:
        """Ask for one answer, a page of rows or one row, and learn from the times in it."""
        answer = await self._http.request("GET", path, params=query)
        data = answer.data
        is_row = isinstance(data, dict) and ("id" in data or "runId" in data)
        page = read_page([data] if is_row else data)
        now = parse_date(answer.headers.get("date", ""))
        if now is None:
            return page
        self.times.bound((row.get(name) for row in page.items for name in _TIMES), now)
        ahead = now - datetime.now(UTC)
        for row in page.items:
            known = self._began.get(str(row.get("id") or row.get("runId")))
            if known is not None:
                window, is_ours = known
                if is_ours:
                    window = (window[0] + ahead, window[1] + ahead)
                self.times.learn(row.get("createdAt"), window, by_its_date=not is_ours)
        return page

    def learn_starts(self, starts: Mapping[str, datetime]) -> None:
        """Take note of when runs began, by this machine's clock; a run's id -> an aware time."""
        for run_id, start in starts.items():
            if run_id not in self._began:
                self.note_start(run_id, (start - _EARLY, start + _LATE), is_ours=True)

    def note_start(self, run_id: str, window: Window, *, is_ours: bool = False) -> None:
        """Note when a run began, by the server's clock or (``is_ours``) by this machine's."""
        self._began[run_id] = (window, is_ours)
        self._began.move_to_end(run_id)
        while len(self._began) > _REMEMBERED:
            self._began.popitem(last=False)

"""Messages between kernel and page for the history, as in ``js/src/history/protocol.ts``.

The page sends ``{type: "page", id, query: {text, agent, status, order, offset}}``.  The kernel
answers at once ``{type: "looking", id}``, then a `page_message` with the same ``id``, which the
page generates: its name, "-" and a number.  A further query of the same page cancels the one
before, which then gets no answer.

``{type: "agents"}`` is answered with an `agents_message`, ``{type: "open", run: key}`` with an
`opened_message`.  From then on messages of the run are wrapped as ``{type: "run", turn: key,
message}``, in both directions, until ``{type: "close", run: key}``.  Times are seconds since
1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from agentnb.errors import RequestError
from agentnb.render.visible import well_formed
from agentnb.store.record import RunRecord
from agentnb.tables.pages import Page, PageQuery
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT, shortened
from agentnb.widgets.protocol import Snapshot, jsonable

__all__ = [
    "agents_message",
    "history_state",
    "opened_message",
    "page_message",
    "parse_history_message",
]

# Characters of a query's texts, and of its id.
_MAX_TEXT: Final = 1000
_MAX_ID: Final = 100


def history_state(query: PageQuery, page: Page, *, at: float) -> dict[str, Any]:
    """Return the state for the trait ``snapshot``: the query and its first page."""
    since = query.filters.since
    start = None if since is None else since / 1e6
    return jsonable({"since": start, "limit": query.limit, **_page_state(query, page, at=at)})


def page_message(
    id: str, query: PageQuery, page: Page | None, *, at: float, error: str | None = None
) -> dict[str, Any]:
    """Return the answer to a query: a page, or an ``error``."""
    message = {"type": "page", "id": id, "error": error}
    if page is not None:
        message |= _page_state(query, page, at=at)
    return jsonable(message)


def agents_message(names: Sequence[str]) -> dict[str, Any]:
    """Return the names of agents that a query may have."""
    return jsonable({"type": "agents", "agents": [n for n in names if len(n) <= _MAX_TEXT]})


def opened_message(
    key: str, snapshot: Snapshot | None, *, live: bool, error: str | None = None
) -> dict[str, Any]:
    """Return the state of an opened run, or an ``error``.

    ``live`` is whether it is a run of this kernel, which can be stopped.
    """
    return {"type": "opened", "run": key, "live": live, "snapshot": snapshot, "error": error}


def _page_state(query: PageQuery, page: Page, *, at: float) -> dict[str, Any]:
    return {
        "query": {
            "text": query.text,
            "agent": query.agent,
            "status": query.status if isinstance(query.status, str) else "",
            "order": query.order,
            "offset": query.offset,
        },
        "rows": [_row_state(row) for row in page.rows],
        "total": page.total,
        "more": page.more,
        "at": at,
    }


def _row_state(row: RunRecord) -> dict[str, Any]:
    return {
        "key": row.key,
        "run_id": None if row.run_id is None else shortened(row.run_id, NAME_TEXT),
        "platform": shortened(row.platform, NAME_TEXT),
        "agent": shortened(row.agent or "", NAME_TEXT),
        "status": row.status,
        "question": row.prompt or "",
        "started": row.started_at / 1e6,
        "duration": None if row.duration is None else row.duration / 1e6,
        "tokens": row.total_tokens,
        "cost": row.cost_usd,
        "error": row.error,
    }


def parse_history_message(content: object, *, like: PageQuery) -> dict[str, Any] | None:
    """Return a validated message of the page, or None.

    ``query`` becomes a `PageQuery` with the page size and the earliest start of ``like``.
    """
    if not isinstance(content, Mapping):
        return None
    match cast("Mapping[str, Any]", content):
        case {"type": "page", "id": str(id), "query": query} if len(id) <= _MAX_ID:
            parsed = _parse_query(query, like)
            return None if parsed is None else {"type": "page", "id": id, "query": parsed}
        case {"type": "agents"}:
            return {"type": "agents"}
        case {"type": "open" | "close" as kind, "run": str(key)} if len(key) <= KEY_TEXT:
            return {"type": kind, "run": key}
        case {"type": "run", "turn": str(key), "message": message} if len(key) <= KEY_TEXT:
            return {"type": "run", "turn": key, "message": message}
        case _:
            return None


def _parse_query(query: object, like: PageQuery) -> PageQuery | None:
    match query:
        case {
            "text": str(text),
            "agent": str(agent),
            "status": str(status),
            "order": str(order),
            "offset": int(offset),
        } if not isinstance(offset, bool):
            try:
                return replace(
                    like,
                    text=well_formed(text[:_MAX_TEXT]).replace("\0", ""),
                    agent=well_formed(agent[:_MAX_TEXT]).replace("\0", ""),
                    status=status,
                    order=order,
                    offset=int(offset),
                )
            except RequestError:
                return None
        case _:
            return None

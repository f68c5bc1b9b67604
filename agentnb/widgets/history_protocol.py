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

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from agentnb._support.text import shortened, well_formed
from agentnb.errors import RequestError
from agentnb.store.record import RunRecord
from agentnb.tables.pages import Page, PageQuery
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT
from agentnb.widgets.protocol import (
    Fields,
    Snapshot,
    anything,
    count,
    jsonable,
    parse_fields,
    parse_message,
    text,
)

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


def _query_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return well_formed(value[:_MAX_TEXT]).replace("\0", "")


def _query(value: Any) -> dict[str, Any]:
    names = {"text": _query_text, "agent": _query_text, "status": _query_text, "order": _query_text}
    return parse_fields(value, {**names, "offset": count})


_MESSAGES: Final[dict[str, Fields]] = {
    "page": {"id": text(_MAX_ID), "query": _query},
    "agents": {},
    "open": {"run": text(KEY_TEXT)},
    "close": {"run": text(KEY_TEXT)},
    "run": {"turn": text(KEY_TEXT), "message": anything},
}


def parse_history_message(content: object, *, like: PageQuery) -> dict[str, Any] | None:
    """Return a validated message of the page, or None.

    ``query`` becomes a `PageQuery` with the page size and the earliest start of ``like``.
    """
    message = parse_message(content, _MESSAGES)
    if message is not None and "query" in message:
        try:
            message["query"] = replace(like, **message["query"])
        except RequestError:
            return None
    return message

"""What the kernel and the page say of the history: the mirror of ``js/src/history/protocol.ts``.

The page asks ``{type: "page", id, query: {text, agent, status, order, offset}}``, is told at once
that the kernel looks, ``{type: "looking", id}``, and is answered with a `page_message` of the same
``id``, which it makes up: a name of its own, "-" and a number.  Whoever asks anew before that gives
up what was asked before, which is not answered then.

``{type: "agents"}`` is answered with an `agents_message`, ``{type: "open", run: key}`` with an
`opened_message`.  From then on the run's own messages go in an envelope, ``{type: "run", turn: key,
message}``, both ways, until ``{type: "close", run: key}``.  Moments are seconds since 1970-01-01
UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypedDict, cast

from agentnb.errors import RequestError
from agentnb.render.visible import well_formed
from agentnb.tables.pages import Page, PageQuery, PageRow
from agentnb.widgets.bounds import KEY_TEXT, NAME_TEXT, shortened
from agentnb.widgets.protocol import Snapshot, jsonable

__all__ = [
    "HistoryMessage",
    "agents_message",
    "history_state",
    "looking_message",
    "opened_message",
    "page_message",
    "parse_history_message",
]

# What a page may send at all; a longer text finds nothing.
_TEXT: Final = 1000
_ID: Final = 100


class AskPage(TypedDict):
    """The page asks for rows."""

    type: Literal["page"]
    id: str
    query: PageQuery


class AskAgents(TypedDict):
    """The page asks what agents there are to choose from."""

    type: Literal["agents"]


class RunRequest(TypedDict):
    """The page opens a run, or closes it."""

    type: Literal["open", "close"]
    run: str


class RunEnvelope(TypedDict):
    """What the view of an open run says."""

    type: Literal["run"]
    turn: str
    message: object


HistoryMessage = AskPage | AskAgents | RunRequest | RunEnvelope


def history_state(query: PageQuery, page: Page, *, at: float) -> dict[str, Any]:
    """Return what the trait holds: what was asked for, and the page that it brought."""
    since = query.filters.since
    began = None if since is None else since / 1e6
    return jsonable({"since": began, "limit": query.limit, **_answer(query, page, at=at)})


def page_message(
    id: str, query: PageQuery, page: Page | None, *, at: float, error: str | None = None
) -> dict[str, Any]:
    """Return the answer to `AskPage`; without a page ``error`` says why there is none."""
    answer = {"type": "page", "id": id, "error": error}
    if page is not None:
        answer |= _answer(query, page, at=at)
    return jsonable(answer)


def looking_message(id: str) -> dict[str, Any]:
    """Return what is said at once to `AskPage`."""
    return {"type": "looking", "id": jsonable(id)}


def agents_message(names: Sequence[str]) -> dict[str, Any]:
    """Return the answer to `AskAgents`."""
    # A longer one could not be asked for.
    return jsonable({"type": "agents", "agents": [name for name in names if len(name) <= _TEXT]})


def opened_message(
    key: str, snapshot: Snapshot | None, *, live: bool, error: str | None = None
) -> dict[str, Any]:
    """Return the answer to a run's opening: its whole state, or why there is none.

    ``live`` says that it is a run of this kernel, which it may stop.
    """
    return {"type": "opened", "run": key, "live": live, "snapshot": snapshot, "error": error}


def _answer(query: PageQuery, page: Page, *, at: float) -> dict[str, Any]:
    return {
        "query": {
            "text": query.text,
            "agent": query.agent,
            "status": query.status if isinstance(query.status, str) else "",
            "order": query.order,
            "offset": query.offset,
        },
        "rows": [_row(row) for row in page.rows],
        "total": page.total,
        "more": page.more,
        "at": at,
    }


def _row(row: PageRow) -> dict[str, Any]:
    told = row.to_dict()
    for name in ("run_id", "platform", "agent"):
        if told[name] is not None:
            told[name] = shortened(told[name], NAME_TEXT)
    return told


def parse_history_message(content: object, *, like: PageQuery) -> HistoryMessage | None:
    """Return what the page said, or None where it is none of this protocol's messages.

    What a page does not say of its query, the size of a page and the earliest start, is as in
    ``like``.
    """
    if not isinstance(content, Mapping):
        return None
    match cast("Mapping[str, Any]", content):
        case {"type": "page", "id": str(id), "query": query} if len(id) <= _ID:
            asked = _query(query, like)
            return None if asked is None else {"type": "page", "id": id, "query": asked}
        case {"type": "agents"}:
            return {"type": "agents"}
        case {"type": "open" | "close" as kind, "run": str(key)} if len(key) <= KEY_TEXT:
            return {"type": kind, "run": key}
        case {"type": "run", "turn": str(key), "message": message} if len(key) <= KEY_TEXT:
            return {"type": "run", "turn": key, "message": message}
        case _:
            return None


def _query(asked: object, like: PageQuery) -> PageQuery | None:
    match asked:
        case {
            "text": str(text),
            "agent": str(agent),
            "status": str(status),
            "order": str(order),
            "offset": int(offset),
        } if offset is not True and offset is not False:
            try:
                return replace(
                    like,
                    text=well_formed(text[:_TEXT]).replace("\0", ""),
                    agent=well_formed(agent[:_TEXT]).replace("\0", ""),
                    status=status,
                    order=order,
                    offset=int(offset),
                )
            except RequestError:
                return None
        case _:
            return None

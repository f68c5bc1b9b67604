"""Approvals as an agent requests them: which of them still count, and how a view names one.

An agent may request the same approval, by its id, several times and each time for something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from agentnb.event.types import ApprovalRequested

__all__ = ["approval_key", "changed_ids", "is_changed", "latest_requests"]


def latest_requests(approvals: Iterable[ApprovalRequested]) -> tuple[ApprovalRequested, ...]:
    """Return the last request of each id, in the order of the first ones, and all without an id."""
    latest: dict[str | int, ApprovalRequested] = {}
    for number, approval in enumerate(approvals):
        latest[number if approval.approval_id is None else approval.approval_id] = approval
    return tuple(latest.values())


def is_changed(
    approval: ApprovalRequested,
    approvals: Iterable[ApprovalRequested],
    decided: Iterable[str | None] = (),
) -> bool:
    """Tell whether its id was requested for something else before, without a decision on that.

    ``approvals`` are all requests of the run, ``decided`` the ids of those that were decided.
    """
    key = approval.approval_id
    if key is None:
        return False
    others = sum(other.approval_id == key and other != approval for other in approvals)
    return others > sum(each == key for each in decided)


def changed_ids(approvals: Iterable[ApprovalRequested]) -> set[str]:
    """Return the ids that were requested for more than one thing."""
    first: dict[str, ApprovalRequested] = {}
    return {
        key
        for approval in approvals
        if (key := approval.approval_id) is not None and first.setdefault(key, approval) != approval
    }


# The same few are named again with every change of a run, and their arguments may be megabytes.
@lru_cache(maxsize=100)
def approval_key(approval: ApprovalRequested) -> str:
    """Return what a view names this very request by: another content has another key."""
    digest = hashlib.blake2b(digest_size=12)
    for text in (approval.approval_id, approval.message, approval.tool, approval.arguments):
        content = b"" if text is None else text.encode("utf-8", "surrogatepass")
        digest.update(f"{text is None}{len(content)} ".encode() + content)
    return digest.hexdigest()

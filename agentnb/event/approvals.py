"""Decisions on approvals, and their requests: an id may be requested again, for another call."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from agentnb.event.types import ApprovalRequested


class Decision(NamedTuple):
    """A decision on an approval; ``payload`` is its answer, JSON data, None for none."""

    approval_id: str | None
    approved: bool
    payload: Any = None


def is_changed(
    approval: ApprovalRequested,
    approvals: Iterable[ApprovalRequested],
    decided: Iterable[str | None] = (),
) -> bool:
    """Return whether its id was requested with other content before that was decided.

    ``approvals`` are all requests of the run, ``decided`` the ids of the decided ones.
    """
    key = approval.approval_id
    others = sum(other.approval_id == key and other != approval for other in approvals)
    return key is not None and others > sum(each == key for each in decided)


def changed_ids(approvals: Iterable[ApprovalRequested]) -> set[str]:
    """Return the ids that were requested with different content."""
    first: dict[str, ApprovalRequested] = {}
    return {
        key
        for approval in approvals
        if (key := approval.approval_id) is not None and first.setdefault(key, approval) != approval
    }


# Views need the keys at every change of a run, and arguments may be megabytes.
@lru_cache(maxsize=100)
def approval_key(approval: ApprovalRequested) -> str:
    """Return a key for exactly this content of a request."""
    digest = hashlib.blake2b(digest_size=12)
    texts = (approval.approval_id, approval.message, approval.tool, approval.arguments)
    if approval.answer_schema is not None:
        texts = (*texts, approval.answer_schema)
    for text in texts:
        content = b"" if text is None else text.encode("utf-8", "surrogatepass")
        digest.update(f"{text is None}{len(content)} ".encode() + content)
    return digest.hexdigest()

"""Interrupts of AG-UI: read them as requests of approvals, and answer them.

An interrupt about the call of a tool whose answer has the field ``approved`` is an approval of that
call; its other fields are ``editedArgs`` and ``reason``.  Any other answer is the server's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from agentnb.errors import RequestError
from agentnb.event import ApprovalRequested
from agentnb.plugin import Decision, as_text, infer_schema


def read_interrupt(interrupt: Mapping[str, Any], tool: str, arguments: str) -> ApprovalRequested:
    """Return an interrupt as the request of an approval; ``tool`` is "" where there is no call."""
    schema = interrupt.get("responseSchema")
    fields = _fields(schema)
    is_approval = bool(tool) and (not fields or "approved" in fields)
    answer: Any = schema if fields or schema else None
    if is_approval:
        answer = infer_schema(arguments) if "editedArgs" in fields else None
    return ApprovalRequested(
        approval_id=as_text(interrupt.get("id")) or None,
        message=as_text(interrupt.get("message")) or as_text(interrupt.get("reason")),
        tool=tool if is_approval else None,
        arguments=arguments,
        answer_schema=answer,
        expires_at=as_text(interrupt.get("expiresAt")) or None,
    )


def resume_entry(approval: ApprovalRequested, decision: Decision) -> dict[str, Any]:
    """Return the decision on an interrupt as the next request has it.

    Raises:
        RequestError: the interrupt has no id, by which it could be answered.
    """
    if approval.approval_id is None:
        raise RequestError("The interrupt has no id, so that it cannot be answered.")
    payload, approved = decision.payload, decision.approved
    entry = {"interruptId": approval.approval_id, "status": "resolved"}
    is_answer = isinstance(payload, dict) and "approved" in payload
    if approval.tool and not is_answer:
        answer: dict[str, Any] = {"approved": approved}
        if payload is not None and approved:
            answer["editedArgs"] = payload
        elif payload is not None:
            answer["reason"] = as_text(payload)
        return {**entry, "payload": answer}
    if payload is None and "approved" in _fields(_parsed(approval.answer_schema)):
        return {**entry, "payload": {"approved": approved}}
    if not approved:
        entry["status"] = "cancelled"
    return entry if payload is None else {**entry, "payload": payload}


def _fields(schema: Any) -> Mapping[str, Any]:
    found = cast("dict[str, Any]", schema).get("properties") if isinstance(schema, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _parsed(schema: str | None) -> Any:
    try:
        return json.loads(schema or "null")
    except (ValueError, RecursionError):
        return None

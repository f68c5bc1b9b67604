"""Interrupts of graphs: read them as requests of approvals, and answer them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, cast

from agentnb.errors import RequestError
from agentnb.event import ApprovalRequested
from agentnb.platforms.langgraph.wire import LangGraphOptions, as_items, as_object
from agentnb.plugin import Decision, as_text, infer_schema

#: What is reported of a breakpoint, which has no interrupt of its own.
BREAKPOINT: Final = "The graph stopped at a breakpoint."
# Where an interrupt's value has the JSON schema of its answer.
_SCHEMA_NAMES: Final = ("answer_schema", "response_schema", "responseSchema", "schema")


def read_approval(interrupt: Mapping[str, Any]) -> ApprovalRequested:
    """Return an interrupt as the request of an approval."""
    value, key = interrupt.get("value"), as_text(interrupt.get("id")) or None
    actions = _actions(value)
    if len(actions) == 1:
        (action,) = actions
        tool = as_text(action.get("name") or action.get("action"))
        return ApprovalRequested(
            approval_id=key,
            message=as_text(action.get("description")),
            tool=tool or None,
            arguments=as_text(action.get("args")),
            answer_schema=_arguments_schema(value, tool, action.get("args")),
        )
    if actions:
        about = "\n\n".join(filter(None, (as_text(each.get("description")) for each in actions)))
        return ApprovalRequested(approval_id=key, message=about, arguments=as_text(actions))
    fields = as_object(value)
    schema: Any = next(filter(None, (as_object(fields.get(name)) for name in _SCHEMA_NAMES)), None)
    names = ("question", "message", "description", "prompt")
    message = next((text for name in names if isinstance(text := fields.get(name), str)), None)
    if message is None:
        return ApprovalRequested(approval_id=key, message=as_text(value), answer_schema=schema)
    rest = {name: field for name, field in fields.items() if name not in _SCHEMA_NAMES}
    return ApprovalRequested(
        approval_id=key,
        message=message,
        arguments=as_text(rest) if len(rest) > 1 else "",
        answer_schema=schema,
    )


def with_answer(approval: ApprovalRequested, schema: Mapping[str, Any] | None) -> ApprovalRequested:
    """Return the request of an interrupt that names no schema with this one."""
    is_breakpoint, is_calls = approval.approval_id is None, approval.arguments.startswith("[")
    if is_breakpoint or is_calls or approval.tool or approval.answer_schema is not None:
        return approval
    return replace(approval, answer_schema=cast("Any", schema))


def answer_to(value: Any, options: LangGraphOptions, decision: Decision) -> Any:
    """Return what an interrupt with this value is resumed with."""
    payload, approved = decision.payload, decision.approved
    if not (actions := _actions(value)):
        default = options.approve_with if approved else options.deny_with
        return default if payload is None else payload
    is_legacy = isinstance(value, list)
    if isinstance(payload, list):
        decisions = cast("list[Any]", payload)
        return decisions if is_legacy else {"decisions": decisions}
    if is_legacy:
        return [_legacy_answer(each, payload, approved=approved) for each in actions]
    if "decisions" in as_object(payload):
        return payload
    if payload is None:
        return {"decisions": [{"type": "approve" if approved else "reject"} for _ in actions]}
    if approved and len(actions) > 1:
        raise RequestError(
            f"{len(actions)} calls wait for one decision.",
            hint="Give a list with a decision for each as the payload.",
        )
    return {"decisions": [_answer(each, payload, approved=approved) for each in actions]}


def _answer(action: Mapping[str, Any], payload: Any, *, approved: bool) -> dict[str, Any]:
    """Return the decision on a call: other arguments, or the reason of its denial."""
    if not approved:
        return {"type": "reject", "message": as_text(payload)}
    return {"type": "edit", "edited_action": {"name": action.get("name"), "args": payload}}


def _legacy_answer(action: Mapping[str, Any], payload: Any, *, approved: bool) -> dict[str, Any]:
    """Return the decision on a call, as LangGraph's agents before LangChain 1.0 take it."""
    if payload is None:
        return {"type": "accept" if approved else "ignore", "args": None}
    if not approved:
        return {"type": "response", "args": as_text(payload)}
    return {"type": "edit", "args": {"action": action.get("action"), "args": payload}}


def _arguments_schema(value: Any, tool: str, arguments: Any) -> Any:
    """Return the JSON schema of a call's arguments, None where they cannot be changed."""
    if isinstance(value, list):
        config = as_object(as_object(cast("list[Any]", value)[0]).get("config"))
        can_edit = config.get("allow_edit") is True
    else:
        configs = map(as_object, as_items(as_object(value).get("review_configs")))
        of_tool = [each for each in configs if each.get("action_name") == tool]
        config = of_tool[0] if of_tool else {}
        can_edit = "edit" in as_items(config.get("allowed_decisions"))
    if not can_edit:
        return None
    if schema := as_object(config.get("args_schema")):
        return schema
    return infer_schema(arguments)


def _actions(value: Any) -> list[dict[str, Any]]:
    """Return the tool calls that wait for a decision, with a description each."""
    if not isinstance(value, list):
        return [*map(as_object, as_items(as_object(value).get("action_requests")))]
    items = map(as_object, cast("list[Any]", value))
    return [
        {"description": item.get("description"), **as_object(item["action_request"])}
        for item in items
        if "action_request" in item
    ]


def resume_command(
    thread: Mapping[str, Any], decision: Decision, options: LangGraphOptions, *, name: str
) -> dict[str, Any] | None:
    """Return the command that answers an interrupt of a thread, None where it is at a breakpoint.

    Raises:
        RequestError: the interrupt is not pending, several are and none is named, or a breakpoint
            is denied or answered.
    """
    approval_id, approved, payload = decision
    by_task = as_object(thread.get("interrupts")).values()
    pending = [as_object(each) for found in by_task for each in as_items(found)]
    if not pending and approval_id is None and thread.get("status") == "interrupted":
        if approved and payload is None:
            return None
        verb = "answered" if approved else "denied"
        raise RequestError(f"{name}: a breakpoint cannot be {verb}.", hint="Approve, or cancel.")
    named = [each for each in pending if approval_id in (None, each.get("id"))]
    if len(named) != 1:
        problem = "several decisions" if named else "no such decision"
        raise RequestError(f"{name}: the thread waits for {problem}.")
    (interrupt,) = named
    answer = answer_to(interrupt.get("value"), options, decision)
    key = interrupt.get("id")
    return {"resume": answer if key is None else {key: answer}}

"""Tool calls of an Operativus stream: as JSON, or as a sentence that names the tool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from agentnb.event.types import Event, ToolCallFinished, ToolCallStarted
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text, mend, validated
from agentnb.platforms.operativus.responses import first_value
from agentnb.platforms.operativus.wire import ToolData, milliseconds, nested_json

__all__ = ["ToolCallDecoder"]

# Servers differ in the sentence; the name may be quoted, and dots may follow it.
_SENTENCE: Final = re.compile(
    r"(?:(?:Executing|Calling|Running|Using|Invoking|Starting|Completed|Finished|Failed)"
    r" (?:the )?tool(?: call)?(?::\s*|\s+)"
    r"|Tool(?: call| use)?(?: (?:called|started|finished|completed|failed))?:\s*)"
    r"[`'\"]?(?P<name>[^\s`'\"]+)[`'\"]?\s*[.…]*",
    re.IGNORECASE,
)
_RESULT_KEYS: Final = frozenset({"result", "output", "toolOutput", "error"})
_TOOL_KEYS: Final = _RESULT_KEYS | {
    *("name", "toolName", "id", "toolCallId", "arguments", "args", "input", "toolInput"),
    *("message", "status", "isError", "durationMs"),
}
# Calls announced within so many milliseconds are parallel: a model request takes longer.
_PARALLEL_MS: Final = 100


class ToolCallDecoder:
    """Decodes starts and ends of calls; ``calls`` is shared with the stream's other decoders.

    A server that announces a call as a sentence may never report its end.  Such a call counts as
    ended when the agent continues, or when a later call that is not parallel to it starts, unless
    the server is known to report ends.  A late end belongs to the same call.

    Methods raise `MalformedError` for a call without a name.
    """

    def __init__(self, calls: OpenCalls) -> None:
        self._calls = calls
        self._announced: list[str] = []
        self._announced_at: float | None = None
        self._reports_ends = False

    @property
    def may_have_ended(self) -> bool:
        """Whether an announced call is open, on a server that has reported no end so far."""
        return bool(self._announced) and not self._reports_ends

    def start(self, data: Any, timestamp: Any) -> list[Event]:
        """Return the events of TOOL_START."""
        inner = nested_json(data)
        if isinstance(inner, dict):
            fields = cast("dict[str, Any]", inner)
            name = _tool_name(fields)
            if not name:
                raise MalformedError("a tool call without a name")
            ended = self.end_announced()
            wire_id = _call_id(fields) or as_text(fields.get("id")) or None
            arguments = first_value(fields, "arguments", "args", "input", "toolInput", "parameters")
            call_id = self._calls.start(name, wire_id)
            return [
                *ended,
                ToolCallStarted(call_id=call_id, name=name, arguments=as_text(arguments)),
            ]
        text = as_text(inner).strip()
        sentence = _SENTENCE.fullmatch(text)
        name = _name_in(sentence) if sentence else text
        if not name:
            raise MalformedError("a tool call without a name")
        if " " in name:
            # A sentence about the run, such as "Initiating ... Orchestration".
            return []
        at, known = milliseconds(timestamp), self._announced_at
        is_parallel = at is None or known is None or at - known < _PARALLEL_MS
        ended = [] if is_parallel else self.end_announced()
        call_id = self._calls.start(name)
        self._announced.append(call_id)
        self._announced_at = at
        return [*ended, ToolCallStarted(call_id=call_id, name=name)]

    def end_announced(self, *, always: bool = False) -> list[Event]:
        """End the open announced calls, on a server that reports ends only with ``always``."""
        if not always and not self.may_have_ended:
            return []
        announced, self._announced = self._announced, []
        return [
            ToolCallFinished(call_id=call_id)
            for call_id in announced
            if self._calls.suppose_ended(call_id)
        ]

    def end(self, data: Any, *, failed: bool) -> ToolCallFinished:
        """Return the event of TOOL_END, or of TOOL_ERROR with ``failed``."""
        self._reports_ends = self._reports_ends or not failed
        # A server that reports failures only means a call that is still open.
        open_first = failed and not self._reports_ends
        inner = nested_json(data)
        if isinstance(inner, dict) and self._is_tool_data(cast("dict[str, Any]", inner)):
            return self._end_of(cast("dict[str, Any]", inner), failed, open_first)
        text = as_text(data)
        sentence = _SENTENCE.match(text.strip())
        name = _name_in(sentence) if sentence else None
        if name is not None and self._calls.is_open_name(name):
            return ToolCallFinished(
                call_id=self._calls.finish(name, open_first=open_first),
                name=name,
                error=text if failed else None,
            )
        # Bare text is the result of the call that has been open longest.
        return ToolCallFinished(
            call_id=self._calls.finish(open_first=open_first),
            result=None if failed else text,
            error=(text or "The tool failed.") if failed else None,
        )

    def _end_of(self, fields: dict[str, Any], failed: bool, open_first: bool) -> ToolCallFinished:
        name = _tool_name(fields) or None
        # A bare "id" may be the event's own; it counts if a call started with it.
        own_id = as_text(fields.get("id"))
        wire_id = _call_id(fields) or (own_id if self._calls.is_open(own_id) else None)
        result = first_value(fields, "result", "output", "toolOutput")
        error = as_text(fields["error"]) if fields.get("error") else None
        if failed or fields.get("isError") is True:
            error = error or as_text(fields.get("message")) or as_text(result)
            error = error or "The tool failed."
        return ToolCallFinished(
            call_id=self._calls.finish(name, wire_id, open_first=open_first),
            name=name,
            result=None if result is None else as_text(result),
            error=error,
        )

    def _is_tool_data(self, data: dict[str, Any]) -> bool:
        """Return whether these are an event's fields, not a result that happens to be an object."""
        name = data.get("name", data.get("toolName"))
        if isinstance(name, str) and self._calls.is_open_name(mend(name)):
            return True
        return bool(data.keys() & _RESULT_KEYS or name) and data.keys() <= _TOOL_KEYS


def _tool_name(fields: Mapping[str, Any]) -> str:
    tool = validated(ToolData, fields)
    return mend(tool.name or tool.tool_name or "")


def _call_id(fields: Mapping[str, Any]) -> str:
    return as_text(first_value(fields, "toolCallId", "call_id"))


def _name_in(sentence: re.Match[str]) -> str:
    return sentence["name"].rstrip(".:,…")

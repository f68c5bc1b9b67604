"""Tool calls of an Operativus run: as JSON, or as a sentence that names the tool."""

from __future__ import annotations

import re
from typing import Any, Final

from agentnb._support.text import well_formed
from agentnb.event.types import Event, ToolCallFinished, ToolCallStarted
from agentnb.platforms._payloads import as_object
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text, validated
from agentnb.platforms.operativus.wire import ToolData, milliseconds, nested_json

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
    """Decodes starts and ends of calls.

    A server that announces a call as a sentence may never report its end.  Such a call counts as
    ended when the agent continues, or when a later call that is not parallel to it starts, unless
    the server is known to report ends.  A late end belongs to the same call.

    Methods raise `MalformedError` for a call without a name.
    """

    def __init__(self) -> None:
        self._calls = OpenCalls()
        self._announced: list[str] = []
        self._announced_at: float | None = None
        self._reports_ends = False

    def start(self, data: Any, timestamp: Any = None) -> list[Event]:
        """Return the events of a start."""
        inner = nested_json(data)
        if isinstance(inner, dict):
            started = self._started(tool := validated(ToolData, inner), tool.tool)
            return [*self.end_announced(), started]
        text = as_text(inner).strip()
        name = _name_in(_SENTENCE.fullmatch(text)) or text
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
        if self._reports_ends and not always:
            return []
        announced, self._announced = self._announced, []
        return [
            ToolCallFinished(call_id=call_id)
            for call_id in announced
            if self._calls.suppose_ended(call_id)
        ]

    def end(self, data: Any, *, failed: bool = False) -> ToolCallFinished:
        """Return the event of an end, or of a failure with ``failed``."""
        self._reports_ends = self._reports_ends or not failed
        # A server that reports failures only means a call that is still open.
        open_first = failed and not self._reports_ends
        fields = as_object(nested_json(data))
        if self._is_tool_data(fields):
            return self._ended(validated(ToolData, fields), failed=failed, open_first=open_first)
        text = as_text(data)
        name = _name_in(_SENTENCE.match(text.strip()))
        if name is not None and self._calls.is_open_name(name):
            result = None
        else:
            # Bare text is the result of the call that has been open longest.
            name, result = None, text
        return ToolCallFinished(
            call_id=self._calls.finish(name, open_first=open_first),
            name=name,
            result=None if failed else result,
            error=(text or "The tool failed.") if failed else None,
        )

    def record_end(self, details: dict[str, Any]) -> ToolCallFinished:
        """Return the event of a recorded end."""
        tool = validated(ToolData, details)
        if not tool.tool:
            raise MalformedError("a tool call without a name")
        return self._ended(tool)

    def whole(self, tool: ToolData) -> list[Event]:
        """Return the events of a call that has ended."""
        started = self._started(tool, tool.tool or "tool")
        return [started, self._ended(tool, name=started.name, call_id=started.call_id)]

    def _started(self, tool: ToolData, name: str) -> ToolCallStarted:
        if not name:
            raise MalformedError("a tool call without a name")
        call_id = self._calls.start(name, _call_id(tool) or as_text(tool.value("id")) or None)
        arguments = tool.value("arguments", "args", "input", "toolInput", "parameters")
        return ToolCallStarted(call_id=call_id, name=name, arguments=as_text(arguments))

    def _ended(
        self,
        tool: ToolData,
        *,
        name: str | None = None,
        call_id: str | None = None,
        failed: bool = False,
        open_first: bool = False,
    ) -> ToolCallFinished:
        name = name or tool.tool or None
        # A bare "id" may be the event's own; it counts if a call started with it.
        own_id = as_text(tool.value("id"))
        call_id = call_id or _call_id(tool) or (own_id if self._calls.is_open(own_id) else None)
        value = tool.value("result", "output", "toolOutput")
        result = None if value is None else as_text(value)
        error = as_text(tool.value("error", "errorMessage") or None) or None
        if failed or tool.value("isError") is True or tool.value("status") == "error":
            error = error or as_text(tool.value("message")) or result or "The tool failed."
        return ToolCallFinished(
            call_id=self._calls.finish(name, call_id, open_first=open_first),
            name=name,
            result=None if result == error else result,
            error=error,
        )

    def _is_tool_data(self, data: dict[str, Any]) -> bool:
        """Return whether these are an event's fields, not a result that happens to be an object."""
        name = data.get("name", data.get("toolName"))
        if isinstance(name, str) and self._calls.is_open_name(well_formed(name)):
            return True
        return bool(data.keys() & _RESULT_KEYS or name) and data.keys() <= _TOOL_KEYS


def _call_id(tool: ToolData) -> str | None:
    return as_text(tool.value("toolCallId", "call_id")) or None


def _name_in(sentence: re.Match[str] | None) -> str | None:
    return None if sentence is None else sentence["name"].rstrip(".:,…")

"""The tool calls of an Operativus stream: as JSON, or as a sentence that names the tool."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from agentnb.event.types import Event, ToolCallFinished, ToolCallStarted
from agentnb.platforms._tool_calls import OpenCalls
from agentnb.platforms._wire import MalformedError, as_text, mend, validated
from agentnb.platforms.operativus import wire
from agentnb.platforms.operativus.frames import given, inner_value, milliseconds

__all__ = ["ToolCalls"]

# A server words it in its own way; the name may be quoted, and dots may follow it.
_NAMED: Final = re.compile(
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

# Calls that are announced within so many milliseconds are made together: between two that follow
# each other, the model is asked.
_TOGETHER: Final = 100


def _name_in(sentence: re.Match[str]) -> str:
    return sentence["name"].rstrip(".:,…")


class ToolCalls:
    """Decodes the beginnings and ends of calls; ``calls`` is shared with who else decodes them.

    A server that announces a call as a sentence may tell no end of it.  Such a call is taken to
    have ended where the agent goes on, or where a later call begins that was not made together with
    it, until the server is seen to tell ends.  An end that comes later nevertheless is that of the
    same call.
    """

    def __init__(self, calls: OpenCalls) -> None:
        self._calls = calls
        self._announced: list[str] = []
        self._announced_at: float | None = None
        self._tells_ends = False

    @property
    def may_have_ended(self) -> bool:
        """Whether a call is open that was announced as a sentence by a server that tells no end."""
        return bool(self._announced) and not self._tells_ends

    def start(self, event: wire.ToolStart) -> list[Event]:
        """Return the events of a beginning.

        Raises:
            MalformedError: it names no tool.
        """
        inner = inner_value(event.data)
        if isinstance(inner, dict):
            tool = validated(wire.ToolData, inner)
            name = tool.name or tool.tool_name
            if not name:
                raise MalformedError("a tool call without a name")
            ended = self.end_announced()
            wire_id = as_text(tool.call_id) or as_text(tool.id) or None
            call_id = self._calls.start(mend(name), wire_id)
            arguments = as_text(
                given(tool, "arguments", "args", "input", "toolInput", "parameters")
            )
            began = ToolCallStarted(call_id=call_id, name=mend(name), arguments=arguments)
            return [*ended, began]
        text = as_text(inner).strip()
        named = _NAMED.fullmatch(text)
        name = _name_in(named) if named else text
        if not name:
            raise MalformedError("a tool call without a name")
        if " " in name:
            # A sentence about the run ("Initiating ... Orchestration") is no call of a tool.
            return []
        at = milliseconds(event.timestamp)
        ended = self._end_earlier(at)
        call_id = self._calls.start(name)
        self._announced.append(call_id)
        self._announced_at = at
        return [*ended, ToolCallStarted(call_id=call_id, name=name)]

    def _end_earlier(self, at: float | None) -> list[Event]:
        """End the calls that were announced well before another one, which begins ``at``."""
        known = self._announced_at
        if at is None or known is None or at - known < _TOGETHER:
            return []
        return self.end_announced()

    def end_announced(self, *, always: bool = False) -> list[Event]:
        """End the open calls that were announced as a sentence.

        Not where the server tells ends; with ``always`` there, too: the run has ended.
        """
        if not always and not self.may_have_ended:
            return []
        announced, self._announced = self._announced, []
        return [
            ToolCallFinished(call_id=call_id)
            for call_id in announced
            if self._calls.suppose_ended(call_id)
        ]

    def end(self, data: Any, *, failed: bool) -> ToolCallFinished:
        """Return the event of an end, of a failure with ``failed``.

        Raises:
            MalformedError: it is not what its kind promises.
        """
        if not failed:
            self._tells_ends = True
        # Where only failures are told, one is of the call that is open.
        guessed = failed and not self._tells_ends
        inner = inner_value(data)
        if isinstance(inner, dict) and self._is_tool_data(cast("dict[str, Any]", inner)):
            tool = validated(wire.ToolData, inner)
            name = mend(tool.name or tool.tool_name or "") or None
            # A bare "id" may be the event's own; it counts where a call began with it.
            own_id = as_text(tool.id)
            wire_id = as_text(tool.call_id) or (own_id if self._calls.is_open(own_id) else None)
            result = given(tool, "result", "output", "toolOutput")
            error = as_text(tool.error) if tool.error else None
            if failed or given(tool, "isError") is True:
                error = error or as_text(tool.message) or as_text(result) or "The tool failed."
            return ToolCallFinished(
                call_id=self._calls.finish(name, wire_id, open_first=guessed),
                name=name,
                result=None if result is None else as_text(result),
                error=error,
            )
        text = as_text(data)
        named = _NAMED.match(text.strip())
        name = _name_in(named) if named else None
        if name is None or not self._calls.is_open_name(name):
            # Bare text: the result itself, of the call that has waited longest.
            return ToolCallFinished(
                call_id=self._calls.finish(open_first=guessed),
                result=None if failed else text,
                error=(text or "The tool failed.") if failed else None,
            )
        return ToolCallFinished(
            call_id=self._calls.finish(name, open_first=guessed),
            name=name,
            error=text if failed else None,
        )

    def _is_tool_data(self, data: dict[str, Any]) -> bool:
        """Tell an event's own fields from a result that happens to be an object."""
        keys = data.keys()
        name = data.get("name", data.get("toolName"))
        if isinstance(name, str) and self._calls.is_open_name(mend(name)):
            return True
        return bool(keys & _RESULT_KEYS or name) and keys <= _TOOL_KEYS

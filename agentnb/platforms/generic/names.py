"""Categories of stream events by name: whatever a server calls them, and however it spells that."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

__all__ = [
    "VAGUE",
    "Category",
    "category_of",
    "is_marker",
    "kind_of",
    "may_be_answer",
    "normalized",
]

Category = Literal[
    "text",
    "whole_text",
    "reasoning",
    "call",
    "arguments",
    "arguments_done",
    "output",
    "tool_result",
    "tool_error",
    "tool",
    "item",
    "usage",
    "start",
    "status",
    "turn_end",
    "step_end",
    "end",
    "failure",
    "cancelled",
    "structure",
    "ping",
]
"""What an event is about.

``whole_text`` repeats a part of the answer that may have streamed before; ``arguments`` are a
fragment of a tool call's arguments and ``output`` one of its output; ``tool`` and ``item`` are
decided by their content; ``turn_end`` ends one message of the model, which may be followed by
others, and ``step_end`` a step, which holds such a message and the calls after it; ``structure``
frames other events and says nothing itself.
"""

# A type inside a frame decides where the frame's name, or its outer type, is one of the vague ones.
VAGUE: Final = frozenset({"text", "whole_text", "end", "start", "structure", "status", "usage"})
_TELLING: Final = frozenset(
    {
        *("reasoning", "call", "arguments", "arguments_done", "output", "tool_result"),
        *("tool_error", "tool", "item", "failure", "cancelled", "ping"),
    }
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATOR: Final = re.compile(r"[^a-z0-9]+")
_MARKER: Final = re.compile(r"[\[<(|｜]+\s*(\w[\w▁ -]*?)\s*[\])>|｜]+")
# What models write where they end, and their servers let through.
_END_TOKENS: Final = frozenset(
    {
        *("endoftext", "end_of_text", "im_end", "eot", "eot_id", "eos_token", "eod", "return"),
        *("end_of_turn", "end_of_turn_token", "endofturn", "end_of_sentence", "end_of_message"),
        *("end_of_utterance", "eom_id"),
    }
)
_VERSION: Final = re.compile(r"v\d+")
_LONGEST_NAME: Final = 100

_PING: Final = frozenset({"ping", "pong", "heartbeat", "hb", "keepalive", "keep_alive", "noop"})

# Where a rule by words would be wrong, or a name has a meaning of its own in one dialect.
_EXACT: Final[dict[str, Category]] = {
    "message_stop": "end",
    "message_end": "end",
    "end_turn": "turn_end",
    "message_start": "structure",
    "eos": "end",
    "eof": "end",
    "tool": "tool",
    "function": "tool",
    "tool_message": "tool_result",
    "tool_call": "call",
    "tool_calls": "call",
    "tool_use": "call",
    "function_call": "call",
    "tool_call_end": "tool_result",
    "tool_use_end": "tool_result",
    "tool_call_execution": "tool_result",
    **dict.fromkeys(("step_finish", "finish_step", "step_finished", "step_end"), "step_end"),
    **dict.fromkeys(("end_step", "step_complete", "step_completed"), "step_end"),
    "input_json_delta": "arguments",
    "metadata": "start",
    "init": "start",
    "system": "start",
    "connected": "start",
    "open": "start",
    "response_created": "start",
    "response_queued": "start",
    "response_in_progress": "start",
    "response_output_item_added": "item",
    "response_output_item_done": "item",
    "on_chain_stream": "structure",
    "signature_delta": "structure",
    "citations_delta": "structure",
    "partial_thinking": "reasoning",
    "tool_plan_delta": "reasoning",
    "response_code_interpreter_call_code_delta": "arguments",
    "response_code_interpreter_call_code_done": "arguments_done",
    "item_started": "item",
    "item_updated": "item",
    "item_completed": "item",
    "artifact_update": "text",
    "chat_completion": "text",
    "usage_statistics": "usage",
    "run": "status",
    # What wraps events of another source, which come in the server's own dialect as well.
    "raw": "ping",
}

_END: Final = frozenset(
    {
        *("complete", "completed", "completion", "done", "finish", "finished", "end", "ended"),
        *("stop", "final", "finalized", "result", "success", "succeeded"),
    }
)
_FAILURE: Final = frozenset(
    {
        *("error", "errored", "failed", "failure", "fail", "exception", "incomplete", "fatal"),
        *("timeout", "expired"),
    }
)
_CANCELLED: Final = frozenset(
    {"cancel", "cancelled", "canceled", "abort", "aborted", "stopped", "interrupted"}
)
_START: Final = frozenset({"start", "started", "begin", "began", "created", "init", "initialized"})
# What an end may be the end of, so that the whole run has ended.
_RUN: Final = frozenset(
    {
        *("run", "agent", "response", "stream", "streaming", "chat", "conversation", "session"),
        *("workflow", "execution", "generation", "completion", "graph", "crew", "thread", "job"),
        *("request", "invocation", "query", "assistant", "of", "all", "is", "server", "kickoff"),
    }
)
# What may be one of several in a run.
_TURN: Final = frozenset({"message", "turn", "task", "answer", "reply"})
_FINAL_OF: Final = frozenset(
    {"answer", "output", "response", "result", "message", "text", "content", "report", "state"}
)
_TOOL: Final = frozenset({"tool", "tools", "function", "functions", "mcp"})
_TOOL_RESULT: Final = _END | frozenset(
    {"results", "output", "outputs", "response", "responses", "observation", "return", "returned"}
)
_FRAGMENT: Final = frozenset({"delta", "chunk", "fragment", "partial", "progress", "stream"})
_ARGUMENTS: Final = frozenset({"args", "arguments", "input", "inputs", "params", "parameters"})
_CALL: Final = frozenset(
    {
        *("call", "calls", "called", "calling", "use", "start", "started", "begin", "invoke"),
        *("invoked", "invocation", "request", "requested", "created", "added", "available"),
        *("execute", "executing", "running"),
    }
)
_REASONING: Final = frozenset({"thinking", "think", "thought", "thoughts", "reasoning"})
_TEXT: Final = frozenset(
    {
        *("text", "texts", "delta", "chunk", "token", "tokens", "content", "message", "messages"),
        *("answer", "response", "completion", "reply", "stream", "partial", "output", "refusal"),
        *("assistant", "ai", "fragment", "piece", "utterance", "word"),
    }
)
_TEXT_QUALIFIER: Final = frozenset(
    {
        *("agent", "run", "new", "llm", "chat", "model", "generation", "block", "thread", "part"),
        *("streaming", "bot", "data", "raw", "on", "update", "final", "generated"),
    }
)
_STRUCTURE: Final = _TEXT | frozenset({"block", "part", "item", "summary", "thread", "annotation"})
_STRUCTURE_ENDS: Final = (
    _END | _START | frozenset({"added", "queued", "in", "progress"})
) - frozenset({"result", "final", "completion"})
_STATUS: Final = frozenset({"status", "state"})
_NO_ANSWER: Final = frozenset(
    {
        *("log", "logs", "debug", "info", "warning", "warn", "status", "progress", "metadata"),
        *("meta", "title", "state", "trace", "source", "sources", "citation", "citations", "plan"),
        *("task", "todo", "todos", "step", "node", "notification", "notice", "system", "user"),
        *("human", "input", "prompt", "query", "summary", "memory", "checkpoint", "telemetry"),
        *("signature", "annotation", "stderr", "stdout", "file", "files", "url", "image", "audio"),
        *("suggestion", "suggestions", "followup", "followups", "session", "config", "debugger"),
        *("approval", "permission", "hook", "command", "terminal", "diff", "edit", "artifact"),
        *("span", "event", "connected", "ready", "renamed", "rename", "custom", "activity"),
        "call",
    }
)


@lru_cache(maxsize=512)
def normalized(name: str) -> str:
    """Return ``name`` in lower case, its words joined by "_"; "" where it is none.

    ``RunCompleted`` and ``run.completed`` are both ``run_completed``.
    """
    if len(name) > _LONGEST_NAME:
        return ""
    return _SEPARATOR.sub("_", _CAMEL.sub("_", name.strip()).lower()).strip("_")


# Each stream has a handful of names; the bound is for servers that make names up.
@lru_cache(maxsize=512)
def category_of(name: str) -> Category | None:
    """Return the category of an event's name, in any case and with any separators.

    None where the name says nothing of that.
    """
    name = normalized(name)
    if name in _EXACT:
        return _EXACT[name]
    if name in _PING:
        return "ping"
    words = [word for word in name.split("_") if word]
    if len(words) > 1 and words[0] == "on":
        del words[0]
    if len(words) > 1 and _VERSION.fullmatch(words[-1]):
        del words[-1]
    if len(words) > 1 and words[-1] in ("event", "frame"):
        del words[-1]
    elif len(words) > 1 and words[0] == "event":
        del words[0]
    bare = "_".join(words)
    if bare in _EXACT:
        return _EXACT[bare]
    if not words:
        return None
    given = set(words)
    if given & _TOOL or "function_call" in bare or given == {"observation"}:
        return _tool_category(words)
    if given & _REASONING:
        return "structure" if words[-1] in _STRUCTURE_ENDS else "reasoning"
    return _run_category(words) or _content_category(words)


def kind_of(name: str, types: list[str]) -> tuple[Category | None, str]:
    """Return the category of a frame and the name that decided it, as `normalized` spells that."""
    by_type: Category | None = None
    kind = types[0] if types else ""
    for each in types:
        if (by_type := category_of(each)) is not None:
            kind = each
            break
    by_name = category_of(name) if name else None
    if by_name is None or (by_name in VAGUE and by_type in _TELLING):
        return by_type, normalized(kind if by_type is not None else name or kind)
    return by_name, normalized(name)


def _tool_category(words: list[str]) -> Category | None:
    if words[-1] == "message":
        del words[-1]
    given, last = set(words), words[-1]
    if given & _FAILURE:
        return "tool_error"
    if given & _CANCELLED:
        return "tool_error"
    if given & _ARGUMENTS:
        if last in ("start", "started", "begin", "available"):
            return "call"
        return "arguments_done" if last in _END else "arguments"
    if given & {"return", "returned"}:
        return "tool_result"
    if last in _FRAGMENT:
        return "output" if given & {"output", "outputs", "result", "results"} else "arguments"
    if last in _TOOL_RESULT or (last == "available" and "output" in given):
        return "tool_result"
    if last in _CALL or last in _TOOL:
        return "call"
    return None


def _run_category(words: list[str]) -> Category | None:
    """Return the category of a name that says how a run, or a message of it, begins or ends."""
    given, last, first = set(words), words[-1], words[0]
    if len(words) > 1 and last == "exception":
        return "failure"
    if given <= {"usage", "metrics", "token", "tokens", "metadata", "llm", "run"} and given & {
        "usage",
        "metrics",
    }:
        return "usage"
    kinds: tuple[tuple[frozenset[str], Category], ...] = (
        (_FAILURE, "failure"),
        (_CANCELLED, "cancelled"),
        (_END, "end"),
    )
    for ends, category in kinds:
        if last in ends and set(words[:-1]) <= _RUN:
            # Alone it is what some servers call a fragment of text.
            return None if words == ["completion"] else category
        if first in ends and set(words[1:]) <= _RUN:
            return category
    if first == "final" and set(words[1:]) <= _FINAL_OF:
        return "end"
    if last in _FAILURE and set(words[:-1]) <= _RUN | _TURN:
        return "failure"
    if (last in _END and set(words[:-1]) <= _RUN | _TURN) or (
        first in _END and set(words[1:]) <= _RUN | _TURN
    ):
        return "turn_end"
    if last in _START and set(words[:-1]) <= _RUN:
        return "start"
    if given & _STATUS and given <= _STATUS | _RUN | {"update", "task"}:
        return "status"
    return None


def _content_category(words: list[str]) -> Category | None:
    given = set(words)
    if words[-1] in _STRUCTURE_ENDS and set(words[:-1]) <= _STRUCTURE:
        has_text = given & {"text", "content", "message", "output"} and words[-1] in _END
        return "whole_text" if has_text and "block" not in given else "structure"
    if "block" in given and words[-1] in _STRUCTURE_ENDS:
        return "structure"
    if given <= _TEXT | _TEXT_QUALIFIER and given & _TEXT:
        return "text"
    return None


def may_be_answer(name: str) -> bool:
    """Return whether an event of an unknown name may hold text of the answer.

    Logs, progress, titles and the like do not.
    """
    words = normalized(name).split("_")
    if len(words) > 1 and words[-1] == "event":
        del words[-1]
    if len(words) > 1 and words[0] == "data":
        # A part of data, as the AI SDK has it.
        return False
    return not _NO_ANSWER.intersection(words) and not _PING.intersection(words)


def is_marker(text: str) -> Category | None:
    """Return the category of a bare marker such as ``[DONE]``; None where it is none."""
    if len(text) > 30:
        return None
    if normalized(text) in _PING and not text[:1].isspace():
        return "ping"
    if text.strip().lower() == "</s>":
        return "end"
    found = _MARKER.fullmatch(text.strip())
    if found is None:
        return None
    if text.lstrip()[0] != "[" and normalized(found[1]) in _END_TOKENS:
        return "end"
    category = category_of(found[1])
    return category if category in ("end", "failure", "cancelled", "ping") else None

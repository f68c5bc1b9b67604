"""RunTools on the wire: the categories of what its runtimes stream.

Event names and fields vary by runtime, so that each category has one model, which takes every
spelling that was seen; what is not read is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, cast

from pydantic import AliasChoices, BeforeValidator, Field

from agentnb.platforms._wire import EventCodec, Inbound

__all__ = [
    "FRAMES",
    "IDS",
    "TEXT_KINDS",
    "THINKING_KINDS",
    "CancelledFrame",
    "CompleteFrame",
    "DevUrlFrame",
    "ErrorFrame",
    "FileEditFrame",
    "Frame",
    "RunResult",
    "StartFrame",
    "TextFrame",
    "ThinkingFrame",
    "ToolCallFrame",
    "ToolOutputFrame",
    "ToolResultFrame",
    "UsageFrame",
    "kind_of",
]


# --- what a runtime streams -------------------------------------------------------------------


def _deep_text(value: Any) -> Any:
    """Return the text in ``{"text": ...}`` or ``{"content": ...}``, anything else as it is."""
    if isinstance(value, Mapping):
        inner = cast("Mapping[str, Any]", value)
        return next((inner[k] for k in ("text", "content") if isinstance(inner.get(k), str)), inner)
    return value


def _names(*names: str) -> Any:
    return Field(validation_alias=AliasChoices(*names))


def _maybe(*names: str) -> Any:
    return Field(default=None, validation_alias=AliasChoices(*names))


Text = Annotated[str, BeforeValidator(_deep_text)]


class Frame(Inbound):
    """Any frame; ``run_id`` and ``thread_id`` where it carries them."""

    run_id: str | None = _maybe("runId", "run_id")
    thread_id: str | None = _maybe("threadId", "thread_id")


class ThinkingFrame(Frame):
    """A fragment of what the agent thinks."""

    content: Text = _names("content", "thinking", "text", "delta", "data")


class TextFrame(Frame):
    """A fragment of the answer."""

    content: Text = _names("content", "text", "delta", "data")


class _Call(Frame):
    call_id: Any = _maybe("toolCallId", "tool_call_id", "callId", "call_id")
    id: Any = None


class ToolCallFrame(_Call):
    """A tool is called."""

    tool: str = _names("tool", "toolName", "tool_name", "name")
    input: Any = _maybe("input", "arguments", "args", "params")


class ToolOutputFrame(_Call):
    """A fragment of a tool's output."""

    tool: str | None = _maybe("tool", "toolName", "tool_name", "name")
    output: Text = _names("output", "delta", "content", "text", "chunk", "data")


class ToolResultFrame(_Call):
    """A tool call ended."""

    tool: str | None = _maybe("tool", "toolName", "tool_name", "name")
    input: Any = _maybe("input", "arguments", "args", "params")
    output: Any = _maybe("output", "result", "content", "data")
    error: Any = _maybe("error", "errorText")
    is_error: Any = _maybe("isError", "is_error")
    success: Any = None


class FileEditFrame(Frame):
    """The agent changed a file."""

    path: str
    diff: Any = None


class DevUrlFrame(Frame):
    """The agent serves something at an address."""

    url: str = _names("url", "data")


class StartFrame(Frame):
    """The run began."""

    agent: str | None = None
    model: str | None = None


class UsageFrame(Frame):
    """Tokens used so far."""

    usage: Any = None
    model: str | None = None


class CompleteFrame(Frame):
    """The run ended; how, ``status`` may say."""

    output: Any = _maybe("output", "result", "content", "text", "data")
    status: str | None = None
    usage: Any = None
    model: str | None = None
    iterations: Any = None
    duration_ms: Any = _maybe("durationMs", "duration_ms")
    error: Any = None


class ErrorFrame(Frame):
    """The run failed."""

    message: Any = _maybe("message", "error", "errorText", "data")
    code: Any = None
    retry_after: Any = _maybe("retryAfter", "retry_after")


class CancelledFrame(Frame):
    """The run was cancelled."""

    reason: Any = _maybe("reason", "message", "data")


IDS: Final = frozenset({"runId", "run_id", "threadId", "thread_id"})
"""Where a frame may hold an id."""

THINKING_KINDS: Final = frozenset({"thinking", "thinking_delta", "reasoning", "reasoning_delta"})
TEXT_KINDS: Final = frozenset(
    {"text_delta", "assistant_message_delta", "message_delta", "content_delta"}
)

FRAMES: Final = EventCodec[Frame](
    {
        **dict.fromkeys(THINKING_KINDS, ThinkingFrame),
        **dict.fromkeys(TEXT_KINDS, TextFrame),
        **dict.fromkeys(("tool_call", "tool_call_started"), ToolCallFrame),
        "tool_output_delta": ToolOutputFrame,
        **dict.fromkeys(
            ("tool_result", "tool_call_completed", "tool_call_failed"), ToolResultFrame
        ),
        "file_edit": FileEditFrame,
        "dev_url": DevUrlFrame,
        **dict.fromkeys(("start", "run_started"), StartFrame),
        "usage": UsageFrame,
        **dict.fromkeys(("complete", "run_completed"), CompleteFrame),
        **dict.fromkeys(("error", "run_failed"), ErrorFrame),
        **dict.fromkeys(("cancelled", "run_cancelled", "run_canceled"), CancelledFrame),
    }
)


# Asked for every frame, of a handful of names; the bound is for servers that make names up.
@lru_cache(maxsize=256)
def kind_of(name: str) -> str | None:
    """Return an event name in the one spelling that `FRAMES` knows; None where it knows none."""
    kind = re.sub(r"[-.:\s]+", "_", name.strip()).lower()
    return kind if FRAMES.knows(kind) else None


# --- the answer that is not streamed ----------------------------------------------------------


class RunResult(Frame):
    """What ``stream: false`` answers, with or without its ``data`` envelope."""

    run_id: str | None = _maybe("runId", "run_id", "id")
    status: str | None = None
    result: Any = _maybe("result", "output")
    usage: Any = None
    iterations: Any = None
    model: str | None = None
    error: Any = None

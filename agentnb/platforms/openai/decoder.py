"""Decode Responses: the events of a stream in OpenAI's and MLflow's dialect, and the whole object.

MLflow's agent server sends neither ``response.created`` nor ``response.completed``: its stream ends
with ``[DONE]``.  In OpenAI's dialect only one of the named events ends a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from agentnb.event import (
    Event,
    MediaProduced,
    ReasoningDelta,
    RefusalDelta,
    RunCancelled,
    RunFinished,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
)
from agentnb.platforms.openai.ends import EndingDecoder, object_in, text_in, usage_of
from agentnb.plugin import RunRequest, as_text, parse_error_body

# What `response.output_item.done` repeats, and the progress of hosted tools.
_REPEATED: Final = re.compile(
    r"response\.(?:queued|in_progress|\w+_part\.(?:added|done)"
    r"|(?:output_text|refusal|reasoning_text|reasoning_summary|reasoning_summary_text)\.done"
    r"|(?:function_call_arguments|mcp_call_arguments|custom_tool_call_input"
    r"|code_interpreter_call_code)\.done"
    r"|(?:\w+_call|mcp_list_tools)\.(?:in_progress|searching|interpreting|generating"
    r"|completed|failed))"
)


class ResponsesDecoder(EndingDecoder):
    """Decodes one response.

    Whatever the deltas of an item lacked, the item brings when it is done; whatever of those was
    missing, too, the whole response brings at its end.
    """

    def __init__(self, request: RunRequest) -> None:
        super().__init__(request)
        # The deltas of each item that is not done, by the kind and the item's id.
        self._sent: dict[tuple[str, str], list[str]] = {}
        # Ids of the tool calls by their items' ids.
        self._calls: dict[str, str] = {}
        self._has_items = False

    def on(self, name: str, data: Any) -> Iterable[Event] | None:
        match name:
            case "response.output_text.delta":
                return [TextDelta(self._note("message", data), part_id=_key(data))]
            case "response.refusal.delta":
                return [RefusalDelta(self._note("refusal", data), part_id=_key(data))]
            case "response.output_text.annotation.added":
                return self.cited([data["annotation"]])
            case (
                "response.reasoning_text.delta"
                | "response.reasoning_summary_text.delta"
                | "response.reasoning.delta"
                | "response.reasoning_summary.delta"
            ):
                number = data.get("summary_index", data.get("content_index"))
                text = self._note("reasoning", data)
                return [ReasoningDelta(text, part_id=f"{_key(data)}:{number or 0}")]
            case (
                "response.function_call_arguments.delta"
                | "response.mcp_call_arguments.delta"
                | "response.custom_tool_call_input.delta"
                | "response.code_interpreter_call_code.delta"
            ):
                call_id = self._calls.setdefault(_key(data), _key(data))
                return [ToolCallDelta(call_id=call_id, arguments=self._note("call", data))]
            case "response.output_item.added":
                item = data["item"]
                return self._call(item, _key(data)) if _is_call(item) else ()
            case "response.output_item.done":
                return self._done(data["item"], _key(data))
            case "response.created":
                return self.start(data["response"])
            case (
                "response.completed"
                | "response.incomplete"
                | "response.failed"
                | "response.cancelled"
            ):
                return self._ended(data["response"], name.removeprefix("response."))
            case "error" | "response.error":
                return self.fail(data)
            case "" if data.get("error"):
                return self.fail(data)
            case "" if "output" in data:
                return [*self.start(data), *self._ended(data, data.get("status"))]
            case _:
                return () if _REPEATED.fullmatch(name) else None

    def on_done(self) -> Iterable[Event]:
        return () if self.started else self.end(RunFinished())

    def on_end(self) -> Iterable[Event]:
        is_whole = self._has_items and not self._sent
        return self.on_done() if is_whole else ()

    def _ended(self, response: Any, status: Any) -> Iterable[Event]:
        events: list[Event] = []
        if not self._has_items:
            for number, item in enumerate(response.get("output") or ()):
                events += self._done(item, item.get("id") or f"output_{number}") or ()
        events += usage_of(response)
        match status:
            case "failed":
                return [*events, *self.fail(object_in(response, "error"))]
            case "incomplete":
                reason = object_in(response, "incomplete_details").get("reason")
                return [*events, *self.incomplete(as_text(reason) or "no reason is given")]
            case "cancelled":
                return [*events, *self.end(RunCancelled())]
            case "completed" | None:
                return [*events, *self.end(RunFinished())]
            case _:
                return events

    def _done(self, item: Any, key: str) -> Iterable[Event] | None:
        """Return what a finished item has beyond its deltas; None for an unknown kind of item."""
        self._has_items = True
        kind = item["type"]
        if kind == "message":
            return self._message_done(item.get("content") or (), key)
        if kind == "reasoning":
            parts = [*(item.get("summary") or ()), *(item.get("content") or ())]
            missing = self._missing(kind, key, [text for part in parts if (text := _text(part))])
            return [ReasoningDelta(text, f"{key}:{n}") for n, text in enumerate(missing)]
        if kind.endswith("_call_output"):
            result = _output(item.get("output"))
            return [ToolCallFinished(call_id=item["call_id"], result=result, error=_error(item))]
        return self._call_done(item, key) if _is_call(item) else None

    def _message_done(self, content: Sequence[Any], key: str) -> list[Event]:
        events: list[Event] = []
        for kind, name, delta in (
            ("message", "text", TextDelta),
            ("refusal", "refusal", RefusalDelta),
        ):
            texts = [text for part in content if (text := as_text(part.get(name)))]
            events += [delta(text, key) for text in self._missing(kind, key, texts)]
        return [*events, *self.cited([a for p in content for a in p.get("annotations") or ()])]

    def _call(self, item: Any, key: str) -> list[Event]:
        self._calls[key] = call_id = item.get("call_id") or key
        arguments = _arguments(item)
        self._sent["call", key] = [arguments]
        name = item.get("name") or item["type"].removesuffix("_call")
        return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]

    def _call_done(self, item: Any, key: str) -> list[Event]:
        sent = self._sent.pop(("call", key), None)
        events: list[Event] = []
        if sent is None or (_arguments(item) and "".join(sent) != _arguments(item)):
            events += self._call(item, key)
            del self._sent["call", key]
        # The server runs those without a `call_id`: their result is in the item itself.
        if not item.get("call_id"):
            names = ("output", "results", "outputs", "result")
            result = next((item[name] for name in names if item.get(name) is not None), None)
            if item["type"] == "image_generation_call" and isinstance(result, str):
                kind = f"image/{as_text(item.get('output_format')) or 'png'}"
                events.append(MediaProduced(url=f"data:{kind};base64,{result}", mime_type=kind))
                result = None
            events.append(
                ToolCallFinished(
                    call_id=self._calls[key],
                    result=None if result is None else _output(result),
                    error=_error(item),
                )
            )
        return events

    def _note(self, kind: str, data: Any) -> str:
        text = text_in(data, "delta")
        self._sent.setdefault((kind, _key(data)), []).append(text)
        return text

    def _missing(self, kind: str, key: str, texts: list[str]) -> list[str]:
        """Return the texts of an item that its deltas did not have."""
        whole = "".join(texts)
        if (kind, key) not in self._sent:
            # Some agents give an item another id than its deltas.
            others = (each for each in self._sent if each[0] == kind)
            same = (each for each in others if whole.startswith("".join(self._sent[each])))
            kind, key = next(same, (kind, key))
        sent = "".join(self._sent.pop((kind, key), ()))
        if not sent:
            return texts
        rest = whole[len(sent) :] if whole.startswith(sent) else ""
        return [rest] if rest else []


def _key(data: Mapping[str, Any]) -> str:
    """Return the id of the item that an event is about, which some servers give only a number."""
    item = object_in(data, "item")
    return data.get("item_id") or item.get("id") or f"output_{data.get('output_index', 0)}"


def _is_call(item: Mapping[str, Any]) -> bool:
    return item["type"].endswith("_call")


def _arguments(item: Mapping[str, Any]) -> str:
    names = ("arguments", "input", "action", "queries", "code")
    return next((as_text(item[name]) for name in names if item.get(name)), "")


def _text(part: Mapping[str, Any]) -> str:
    return as_text(part.get("text"))


def _output(value: Any) -> str:
    """Return the output of a tool: text, parts of text, or any JSON."""
    match value:
        case [{"text": str()}, *_] if all(isinstance(part.get("text"), str) for part in value):
            return "".join(as_text(part["text"]) for part in value)
        case _:
            return as_text(value)


def _error(item: Mapping[str, Any]) -> str | None:
    if error := item.get("error"):
        return parse_error_body(0, {"error": error}).message or as_text(error)
    return "failed" if item.get("status") in ("failed", "incomplete") else None

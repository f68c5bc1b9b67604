"""Decode Chat Completions: chunks of a stream, and the object that is not streamed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentnb.event import (
    Event,
    MediaProduced,
    ReasoningDelta,
    RefusalDelta,
    RunFinished,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from agentnb.platforms.openai.ends import EndingDecoder, object_in, text_in, usage_of
from agentnb.plugin import MalformedError, RunRequest, as_text


class ChatDecoder(EndingDecoder):
    """Decodes one completion.

    Usage follows the ``finish_reason``, so that the run ends with the ``[DONE]`` after both; where
    a server sends none, with the clean end of the stream.
    """

    def __init__(self, request: RunRequest) -> None:
        super().__init__(request)
        self._reason: str | None = None
        # Ids of the tool calls by their index; only the first fragment of each has its id.
        self._calls: dict[Any, str] = {}

    def on(self, name: str, data: Any) -> Iterable[Event] | None:
        if data.get("error") or name == "error":
            return self.fail(data)
        choices = data.get("choices")
        if choices is None and "usage" not in data:
            return None
        events = self.start(data)
        for choice in choices or ():
            # Further choices are other answers to the same prompt.
            if choice.get("index") not in (None, 0):
                continue
            events += self._message(object_in(choice, "delta", "message"))
            if reason := choice.get("finish_reason"):
                self._reason = as_text(reason)
        return [*events, *usage_of(data)]

    def on_done(self) -> Iterable[Event]:
        match self._reason:
            case "length" | "content_filter":
                return self.incomplete(self._reason)
            case "error":
                return self.fail({})
            case None | "stop":
                return self.end(RunFinished())
            case reason:
                return self.end(RunFinished(details={"finish_reason": reason}))

    def on_end(self) -> Iterable[Event]:
        return () if self._reason is None else self.on_done()

    def _message(self, message: Any) -> list[Event]:
        events: list[Event] = []
        for name in ("reasoning_content", "reasoning"):
            # vLLM sends one of these, OpenRouter the other, and some servers both.
            if message.get(name):
                events.append(ReasoningDelta(text_in(message, name)))
                break
        events += _content(message.get("content"))
        if message.get("refusal"):
            events.append(RefusalDelta(text_in(message, "refusal")))
        events += self.cited(message.get("annotations") or ())
        for image in message.get("images") or ():
            events.append(MediaProduced(url=image["image_url"]["url"]))
        for number, call in enumerate(message.get("tool_calls") or ()):
            events += self._call(call, number)
        return events

    def _call(self, call: Any, number: int) -> Iterable[Event]:
        index = call.get("index")
        index = number if index is None else index
        function = object_in(call, "function", "custom")
        arguments = as_text(function.get("arguments", function.get("input")))
        given, known = call.get("id"), self._calls.get(index)
        # Some servers number all calls of a message 0.
        if known is None or (given and given != known):
            self._calls[index] = call_id = given or f"call_{index}"
            name = function.get("name") or call.get("type") or "function"
            return [ToolCallStarted(call_id=call_id, name=name, arguments=arguments)]
        return [ToolCallDelta(call_id=known, arguments=arguments)] if arguments else []


def _content(content: Any) -> Iterable[Event]:
    """Return the text of a message, which is text or, with Mistral, parts of several types."""
    if isinstance(content, str):
        return [TextDelta(as_text(content))] if content else []
    events: list[Event] = []
    for part in content or ():
        match part:
            case {"type": "text"}:
                events.append(TextDelta(text_in(part, "text")))
            case {"type": "thinking", "thinking": [*inner]}:
                events += [ReasoningDelta(text_in(each, "text")) for each in inner]
            case _:
                raise MalformedError("content: has a part of an unknown type")
    return events

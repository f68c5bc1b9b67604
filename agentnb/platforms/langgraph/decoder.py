"""Decode the events of LangGraph runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from agentnb.event import (
    ApprovalRequested,
    CustomEvent,
    Event,
    RawEvent,
    ReasoningDelta,
    RunStarted,
    StateSnapshot,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.platforms.langgraph.interrupts import BREAKPOINT, read_approval
from agentnb.platforms.langgraph.records import read_failure
from agentnb.platforms.langgraph.subgraphs import Subgraphs
from agentnb.platforms.langgraph.wire import as_items, as_object
from agentnb.plugin import BaseDecoder, RunRequest, as_text, read_usage

# Blocks of content that repeat what other fields of the message have.
_REPEATING: Final = frozenset(
    {"tool_use", "tool_call", "tool_call_chunk", "function_call", "input_json_delta"}
)
_OWN: Final = frozenset({"ai", "AIMessageChunk", "assistant"})
_OTHERS: Final = frozenset({"human", "user", "HumanMessageChunk"})


class Decoder(BaseDecoder):
    """Decodes one run on the server.

    Nothing in the stream says how the run ended, except for an error.  Approvals are collected, not
    returned: other branches of the graph may still stream.
    """

    ignored = frozenset({"end"})

    def __init__(
        self, request: RunRequest, *, thread_id: str | None = None, after: Decoder | None = None
    ) -> None:
        super().__init__(request)
        self.thread_id = thread_id
        self.run_id: str | None = None
        #: Whether there is text of the answer, here or in the run before.
        self.has_text = after is not None and after.has_text
        #: The approvals that were requested, by their ids.
        self.approvals: dict[str, ApprovalRequested] = {}
        self._model = after._model if after else None
        self._totals: dict[str, Any] = dict(after._totals) if after else {}
        # Ids of messages, and of those with text.
        self._seen: set[str] = set(after._seen) if after else set()
        self._with_text: set[str] = set()
        # Ids of the calls that were started; and by message or node, and index, of their chunks.
        self._calls: set[str] = set(after._calls) if after else set()
        self._open: dict[tuple[Any, Any], str] = {}
        self._subgraphs = after._subgraphs if after else Subgraphs()

    def start(self, run_id: str) -> list[Event]:
        """Return the start of the run, unless it was returned before."""
        if run_id == self.run_id:
            return []
        self.run_id = run_id
        return [RunStarted(run_id=run_id, session_id=self.thread_id, model=self._model)]

    def finish_steps(self) -> list[Event]:
        """Return the ends of the subgraphs whose end is not in the stream."""
        return self._subgraphs.finish_all()

    def on(self, name: str, data: Any) -> Iterable[Event] | None:
        mode, *path = name.split("|")
        if (events := self._events(name, mode, data)) is None:
            return None
        graph = tuple(path)
        placed = self._subgraphs.place(graph, list(events)) if events else []
        ended = as_object(data) if mode == "updates" else ()
        return [*placed, *(end for node in ended for end in self._subgraphs.finish(graph, node))]

    def _events(self, name: str, mode: str, data: Any) -> Iterable[Event] | None:
        match mode:
            case "metadata":
                return self.start(run_id) if (run_id := as_text(data.get("run_id"))) else []
            case "messages":
                message, about = data
                return self._message(message, about)
            case "updates":
                return self._updates(name, data)
            case "values" if name == "values":
                return [StateSnapshot(state=data)]
            case "custom":
                return [CustomEvent(name="custom", value=data)]
            case "error":
                return [read_failure(data)]
            case _:
                return None

    # --- messages ---------------------------------------------------------------------------------

    def _message(self, message: Any, about: Any) -> list[Event]:
        kind, key = message.get("type") or message.get("role"), as_text(message.get("id"))
        if kind in ("tool", "ToolMessageChunk"):
            return self._tool_result(message)
        if kind not in _OWN:
            return []
        if kind != "AIMessageChunk" and key and key in self._seen:
            return []
        self._seen.add(key)
        return [
            *self._note_model(message, about),
            *self._content(message, key),
            *self._tool_calls(message, key, about.get("langgraph_checkpoint_ns")),
            *self._usage(message.get("usage_metadata")),
        ]

    def _note_model(self, message: Any, about: Any) -> list[Event]:
        reported = as_object(message.get("response_metadata"))
        model = as_text(reported.get("model_name") or about.get("ls_model_name"))
        if not model or model == self._model:
            return []
        self._model = model
        return [RunStarted(run_id=self.run_id, session_id=self.thread_id, model=model)]

    def _content(self, message: Any, key: str) -> list[Event]:
        extra = as_object(message.get("additional_kwargs")).get("reasoning_content")
        events: list[Event] = [ReasoningDelta(extra, key or None)] if extra else []
        for block in as_items(message.get("content")):
            if isinstance(block, str | None):
                events += self._text(block or "", key)
                continue
            match block.get("type"):
                case "text" | "output_text":
                    events += self._text(block.get("text") or "", key)
                case "thinking" | "reasoning" | "reasoning_content":
                    if text := _reasoning(block):
                        events.append(ReasoningDelta(text, key or None))
                case kind:
                    if kind not in _REPEATING:
                        raw = RawEvent(name=as_text(kind) or "content", data=as_text(block))
                        events.append(raw)
        return events

    def _text(self, text: str, key: str) -> list[Event]:
        if not text:
            return []
        if self.has_text and key not in self._with_text:
            text = f"\n\n{text}"
        self.has_text = True
        self._with_text.add(key)
        return [TextDelta(text, key or None)]

    def _tool_calls(self, message: Any, key: str, node: Any) -> list[Event]:
        events: list[Event] = []
        chunks = as_items(message.get("tool_call_chunks"))
        for chunk in chunks:
            index, call_id = chunk.get("index"), as_text(chunk.get("id"))
            # Some providers change the id of a message while they stream it.
            slots = (key, index), (node, index)
            if not call_id and chunk.get("name"):
                call_id = f"{key}/{index}"
            call_id = call_id or next((self._open[s] for s in slots if s in self._open), "")
            if not call_id:
                continue
            self._open.update(dict.fromkeys(slots, call_id))
            if call_id not in self._calls:
                self._calls.add(call_id)
                name = as_text(chunk.get("name")) or "tool"
                events.append(ToolCallStarted(call_id=call_id, name=name))
            if arguments := chunk.get("args"):
                events.append(ToolCallDelta(call_id=call_id, arguments=arguments))
        for number, call in enumerate([] if chunks else as_items(message.get("tool_calls"))):
            call_id = as_text(call.get("id")) or f"{key}/{number}"
            if call_id not in self._calls:
                self._calls.add(call_id)
                name, arguments = as_text(call.get("name")) or "tool", as_text(call.get("args"))
                events.append(ToolCallStarted(call_id=call_id, name=name, arguments=arguments))
        return events

    def _tool_result(self, message: Any) -> list[Event]:
        call_id, key = as_text(message["tool_call_id"]), as_text(message.get("id"))
        if key and key in self._seen:
            return []
        self._seen.add(key)
        text, name = _result(message.get("content")), as_text(message.get("name")) or None
        if message.get("status") == "error":
            return [ToolCallFinished(call_id=call_id, name=name, error=text or "The call failed.")]
        return [ToolCallFinished(call_id=call_id, name=name, result=text)]

    def _usage(self, data: Any) -> list[Event]:
        """Add the usage of a message, or of one chunk of it."""
        given = as_object(data)
        cached = as_object(given.get("input_token_details")).get("cache_read")
        reasoning = as_object(given.get("output_token_details")).get("reasoning")
        usage = read_usage({**given, "cached_tokens": cached, "reasoning_tokens": reasoning})
        if usage is None:
            return []
        for name, count in usage.to_dict().items():
            self._totals[name] = self._totals.get(name, 0) + count
        return [UsageReported(usage=Usage(**self._totals), model=self._model)]

    # --- updates of the state ---------------------------------------------------------------------

    def _updates(self, name: str, data: Any) -> list[Event]:
        events: list[Event] = []
        rest: dict[str, Any] = {}
        for node, found in as_object(data).items():
            if node == "__interrupt__":
                self._note_interrupts(found)
                continue
            if node == "__metadata__":
                continue
            for update in as_items(found):
                if not isinstance(update, dict):
                    rest[node] = update
                    continue
                fields = as_object(update)
                events += self._late_messages(fields.get("messages"))
                others = {k: v for k, v in fields.items() if k != "messages" and v is not None}
                if others:
                    rest[node] = others
        if rest:
            events.append(RawEvent(name=name, data=as_text(rest)))
        return events

    def _note_interrupts(self, interrupts: Any) -> None:
        for interrupt in as_items(interrupts):
            approval = read_approval(interrupt)
            self.approvals.setdefault(approval.approval_id or str(len(self.approvals)), approval)
        if not interrupts:
            self.approvals.setdefault("", ApprovalRequested(message=BREAKPOINT))

    def _late_messages(self, messages: Any) -> list[Event]:
        """Return messages that were not streamed, as graphs in JavaScript do not.

        A subgraph returns its whole conversation, of which the last prompt begins this turn.
        """
        found = [as_object(message) for message in as_items(messages)]
        prompts = [n for n, each in enumerate(found) if _kind(each) in _OTHERS]
        return [
            event
            for message in found[prompts[-1] + 1 if prompts else 0 :]
            for event in self._message(message, {})
        ]


def _kind(message: Any) -> Any:
    return message.get("type") or message.get("role")


def _reasoning(block: Any) -> str:
    """Return the text of a block of reasoning, in the spellings of providers."""
    inner = as_object(block.get("reasoning_content"))
    parts = [block.get("thinking"), block.get("reasoning"), inner.get("text")]
    parts += [as_object(each).get("text") for each in as_items(block.get("summary"))]
    return "".join(part for part in parts if isinstance(part, str))


def _result(content: Any) -> str:
    """Return a tool's result, which is text, or blocks of which some may be files."""
    texts = [b if isinstance(b, str) else as_object(b).get("text") for b in as_items(content)]
    known = [text for text in texts if isinstance(text, str)]
    return "".join(known) if len(known) == len(texts) else as_text(content)

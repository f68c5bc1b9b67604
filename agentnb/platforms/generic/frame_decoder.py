"""From one frame's name and JSON to events, by category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from agentnb.event.types import Event, RawEvent
from agentnb.platforms._statuses import read_status
from agentnb.platforms._wire import MalformedError, as_text, mend
from agentnb.platforms.generic.dialects import Meant, rewritten
from agentnb.platforms.generic.ends import is_final
from agentnb.platforms.generic.fields import (
    CallFields,
    envelopes,
    first,
    is_told_of_part,
    mapping,
    named_by_key,
    only_text,
    own_types,
    read_call,
    text_in,
    unwrapped,
)
from agentnb.platforms.generic.messages import (
    RESULTS,
    is_of_user,
    last_answer,
    listed_calls,
    place_of,
    said_in,
    stop_in,
    text_of,
)
from agentnb.platforms.generic.names import (
    VAGUE,
    Category,
    category_of,
    kind_of,
    may_be_answer,
    normalized,
)
from agentnb.platforms.generic.stream import StreamState

__all__ = ["GOES_ON", "FrameDecoder"]

# Where a model stopped by one of these, the agent goes on.
GOES_ON: Final = frozenset(
    {"tool_use", "tool_call", "tool_calls", "function_call", "function_calls", "pause_turn"}
)
# Ends of a message of the model, which is the last one unless the model stopped to call a tool.
_MESSAGE_ENDS: Final = frozenset(
    {"message_stop", "message_end", "response_completed", "response_done", "thread_run_completed"}
)
_DONE: Final = (
    *("done", "finished", "is_finished", "isFinished", "is_final", "isFinal", "final", "stop"),
    *("complete", "completed", "is_complete", "isComplete", "end", "is_end", "isEnd", "eos"),
)
_REASONING: Final = (
    *("content", "thinking", "reasoning", "text", "delta", "thought", "reasoning_content"),
    *("summary", "token", "chunk", "message", "data"),
)
_TEXT: Final = ("content", "text", "delta", "token", "chunk", "message", "data")
_DEEPEST: Final = 4


class FrameDecoder(StreamState):
    """What a frame adds to the stream of one run, by its category; see `GenericDecoder`."""

    own_kinds: ClassVar[frozenset[str]] = frozenset()
    """Kinds of frames that `decode_own` decodes, as `normalized` spells them."""

    def decode_own(self, kind: str, fields: dict[str, Any]) -> list[Event]:
        """Return the events of a frame whose kind is one of `own_kinds`.

        Raises:
            MalformedError: its content is not what its kind promises.
        """
        raise MalformedError(f"nothing decodes {kind}")

    def decode_frame(self, name: str, payload: Any, *, raw: str | None = None) -> list[Event]:
        """Return the events of a frame whose JSON is read already; never raises.

        ``name`` is "" where only the payload names its kind; ``raw`` is the frame as it came.
        """
        self._is_structured = True
        outer = mapping(payload) if isinstance(payload, dict) else {"data": payload}
        events: list[Event] | None = None
        problem: str | None = None
        try:
            events = self._frame(name, outer)
        except MalformedError as error:
            problem = str(error)
        if events is not None:
            return events
        word = name or next(iter(own_types(outer)), "message")
        data = as_text(payload) if raw is None else mend(raw)
        usage = [] if problem else self._usage(outer)
        return [*usage, RawEvent(name=mend(word), data=data, problem=problem)]

    # -- by name ---------------------------------------------------------------------------------

    def _frame(self, name: str, outer: dict[str, Any], depth: int = 0) -> list[Event] | None:
        """Return a frame's events, None where it is of no kind that is known.

        Raises:
            MalformedError: its content is not what its kind promises.
        """
        outer = outer if name else dict(named_by_key(outer))
        types = own_types(outer)
        named = [kind for kind in (name, *types) if kind]
        for kind in map(normalized, named):
            if kind in self.own_kinds:
                fields = unwrapped(outer)
                return self._ids(fields, None) + self.decode_own(kind, fields)
        category, word = kind_of(name, types)
        if (meant := rewritten(word, unwrapped(outer))) is not None and depth < _DEEPEST:
            return self._meant(meant, depth + 1)
        if category is None or category in VAGUE:
            for inner in map(named_by_key, envelopes(outer)):
                found, _ = kind_of("", own_types(inner))
                if depth < _DEEPEST and found is not None and (category is None or found != "text"):
                    ids = [] if _is_of_component(word) else self._ids(unwrapped(outer), None)
                    events = self._frame("", dict(inner), depth + 1)
                    return ids + events if events is not None else None
        fields = unwrapped(outer)
        ids = [] if _is_of_component(word) else self._ids(fields, category)
        if category is None:
            events = self._by_shape(fields, word)
        else:
            events = self._by_category(category, fields, word)
        return None if events is None else ids + events

    def _meant(self, meant: Sequence[Meant], depth: int) -> list[Event] | None:
        """Return the events of what a frame means, see `rewritten`."""
        events: list[Event] = []
        for how, fields in meant:
            match how:
                case "frame":
                    events += self._frame("", fields, depth) or []
                case "call":
                    events += self._called(self.calls.begin(read_call(fields)))
                case "result":
                    events += self.calls.finish_once(read_call(fields))
                case "messages":
                    self._answer.keep_spare(
                        mend(last_answer(fields) or ""), ("", "messages"), is_whole=True
                    )
                    events += self._usage(mapping(fields["messages"][-1]))
        return events or None

    def _by_category(
        self, category: Category, fields: dict[str, Any], word: str
    ) -> list[Event] | None:
        match category:
            case "text":
                return self._text_frame(fields, word)
            case "reasoning":
                text = self._reasoning(text_of(fields, _REASONING), (word, ""))
                return text + self._usage(fields)
            case "call" | "arguments" | "arguments_done" | "output" | "tool_result":
                return self._call_frame(category, fields)
            case "tool_error" | "tool" | "item":
                return self._call_frame(category, fields, word)
            case "usage":
                return self._usage(fields, bare=True)
            case "start":
                return self._usage(fields)
            case "status":
                return self._status(fields)
            case "whole_text":
                self._keep_spare(text_in(fields), (word, ""))
                return self._usage(fields)
            case "turn_end":
                self.calls.forget_places()
                self._keep_spare(text_in(fields), (word, ""))
                self._stopped = normalized(stop_in(fields) or "") or self._stopped or "stop"
                return self._usage(fields)
            case "step_end":
                return self._step_end(fields)
            case "end":
                return self._end_frame(fields, word)
            case "failure" | "cancelled":
                if read_call(fields).call_id is not None:
                    return self.calls.finish(read_call(fields), failed=True)
                return self._failed(category, fields)
            case "structure":
                return self._structure(fields, word)
            case "ping":
                return None

    def _text_frame(self, fields: dict[str, Any], word: str) -> list[Event] | None:
        if is_of_user(fields):
            return self._of_user(fields)
        is_last = any(fields.get(name) is True for name in _DONE)
        said = list(said_in(fields, is_text=True, place=place_of(fields)))
        events = self._say(said, word, is_last=is_last)
        rest = self._after_text(fields, is_last=is_last)
        if said or rest or "choices" in fields or stop_in(fields):
            return events + rest
        for name in _TEXT:
            if isinstance(fields.get(name), int | float):
                raise MalformedError(f"{name}: Input should be a valid string")
        text = only_text(fields)
        if text is not None:
            return self._text(text, (word, "")) + rest
        if any(name in fields for name in _TEXT):
            return []
        raise MalformedError("content: Field required")

    def _of_user(self, fields: dict[str, Any]) -> list[Event] | None:
        """Return the results of tools that a message to the agent brings; None where none are."""
        said = [*said_in(fields), *said_in(mapping(fields.get("message")))]
        results = [each for each in said if each.category in RESULTS]
        return self._say(results, "") if results else None

    def _after_text(self, fields: dict[str, Any], *, is_last: bool) -> list[Event]:
        """Return what a frame of text reports beside that."""
        events = self._usage(fields)
        reason = stop_in(fields)
        if reason is not None:
            self._stopped = normalized(reason)
            self.calls.forget_places()
        if fields.get("error") and not isinstance(fields.get("error"), bool):
            return events + self._failed("failure", fields)
        if is_last:
            without = {k: v for k, v in fields.items() if k not in _DONE and k not in _TEXT}
            return events + self._complete(without)
        return events

    def _call_frame(
        self, category: Category, fields: dict[str, Any], word: str = ""
    ) -> list[Event] | None:
        call, place = read_call(fields), place_of(fields)
        self._stopped = None
        match category:
            case "call" | "arguments" if (items := listed_calls(fields)) is not None:
                return self._called(self.calls.fragments(items))
            case "call":
                events = self._called(self.calls.start(call, place=place))
                has_result = first(call.fields, "result", "output") is not None
                return events + self.calls.finish(call) if has_result else events
            case "arguments":
                return self.calls.arguments(call, place=place)
            case "arguments_done":
                return self.calls.arguments_done(call, place=place)
            case "output":
                return self.calls.output(call)
            case "tool":
                is_over = call.result is not None or bool(call.fields.get("error"))
                if is_over and call.arguments is None:
                    return self.calls.finish(call)
                return self._call_frame("call", fields)
            case "item":
                return self._item(fields, is_over=word.endswith(("done", "completed")))
            case _:
                return self.calls.finish(call, failed=category == "tool_error")

    def _item(self, fields: dict[str, Any], *, is_over: bool) -> list[Event] | None:
        """Return the events of an item, as the Responses API has them, or Codex."""
        item = mapping(fields.get("item"))
        kind = normalized(str(item.get("type", "")))
        if kind.endswith("_output"):
            return self.calls.finish(read_call(item))
        if kind.endswith("_execution"):
            # A call with its result, under names of its own.
            call = CallFields({"name": kind, "arguments": item.get("command"), **item})
            has_ended = call.result is not None and item.get("status") != "in_progress"
            begun = [] if self.calls.is_known(call) else self._called(self.calls.start(call))
            return begun + self.calls.finish(call) if has_ended else begun
        if not kind.endswith("_call"):
            text = as_text(first(item, "text")) or text_in(item)
            if kind == "agent_message" and text and is_over:
                return self._text(text, ("agent_message", as_text(item.get("id"))))
            if kind == "reasoning" and text and is_over:
                return self._reasoning(text, ("item", as_text(item.get("id"))))
            if item.get("status") == "completed":
                self._keep_spare(text, ("item", ""))
            return []
        call = CallFields({"name": kind.removesuffix("_call"), **item})
        if not self.calls.is_known(call):
            return self._called(self.calls.start(call, streams=True))
        events = self.calls.arguments_done(call)
        has_result = first(item, "output", "result", "results", "error") is not None
        return events + self.calls.finish(call) if has_result else events

    def _structure(self, fields: dict[str, Any], word: str) -> list[Event]:
        if isinstance(fields.get("message"), dict):
            self.calls.forget_places()
        block = first(fields, "content_block", "contentBlock", "start")
        if block is None and word in ("part_start", "part_started"):
            block = fields.get("part")
        said = said_in({"content": [block]}, place=None) if isinstance(block, dict) else ()
        placed = [each._replace(place=place_of(fields)) for each in said]
        started = self._ids(mapping(fields.get("message")), "start")
        return started + self._say(placed, word) + self._usage(fields)

    def _status(self, fields: dict[str, Any]) -> list[Event] | None:
        status = first(fields, "status", "state", "data")
        word = first(mapping(status), "state", "status") if isinstance(status, dict) else status
        if not isinstance(word, str) or is_told_of_part(fields):
            return None
        category = category_of(word)
        if category in ("failure", "cancelled") or read_status(word) in ("failed", "cancelled"):
            is_failure = category == "failure" or read_status(word) == "failed"
            return self._failed("failure" if is_failure else "cancelled", fields)
        if category == "end" or read_status(word) == "completed":
            if fields.get("final") is True:
                return self._complete({**fields, "status": "completed"})
            # What has completed may be a step.
            self._stopped = self._stopped or "stop"
            return self._usage(fields)
        return None

    def _end_frame(self, fields: dict[str, Any], word: str) -> list[Event] | None:
        call = read_call({k: v for k, v in fields.items() if k != "data"})
        if call.says_of_call or (call.name is not None and self.calls.is_open_name(call.name)):
            return self.calls.finish(call)
        if word == "final_result" and "tool_call_id" in fields and "output" not in fields:
            # Pydantic AI has found where its result begins.
            return []
        if any(name in fields for name in ("item_id", "content_index", "part_id", "partId")):
            return []
        reason = normalized(stop_in(fields) or "") or self._stopped
        if word in _MESSAGE_ENDS and (reason in GOES_ON or self._has_open_call(fields)):
            self._stopped = reason if reason in GOES_ON else "tool_calls"
            self.calls.forget_places()
            return self._usage(fields)
        return self._complete(fields)

    def _has_open_call(self, fields: dict[str, Any]) -> bool:
        """Return whether the last thing that a whole response holds is a call without a result."""
        output = mapping(fields.get("response")).get("output")
        last = mapping(output[-1]) if isinstance(output, list) and output else {}
        return last.get("type") == "function_call" and last.get("status") != "incomplete"

    # -- by shape --------------------------------------------------------------------------------

    def _by_shape(self, fields: dict[str, Any], word: str) -> list[Event] | None:
        """Return the events of a frame whose name says nothing, None where its JSON does neither.

        Under a name, text is taken for the answer only where no other events bring that.
        """
        if "choices" in fields or "candidates" in fields:
            return self._text_frame(fields, word)
        if is_of_user(fields) or is_of_user(mapping(fields.get("message"))):
            return self._of_user(fields)
        if word and not may_be_answer(word):
            return None
        if text := next(filter(None, map(last_answer, (fields, *fields.values()))), None):
            # The state of a graph, which comes again with each step of it.
            self._answer.keep_spare(mend(text), (word, "messages"), is_whole=True)
            return None
        status = first(fields, "status", "state")
        has_text = any(isinstance(fields.get(name), str) for name in _TEXT[:5])
        is_end = not word and is_final(status)
        if status is None and (run := mapping(fields.get("run"))) and not has_text:
            return self._status(run)
        if not word and fields.get("error") and not has_text:
            return self._failed("failure", fields)
        call = read_call(fields)
        if call.says_of_call and not (is_end and call.call_id is None):
            is_over = call.result is not None or bool(call.fields.get("error"))
            if is_over or call.arguments is not None:
                return self._call_frame("tool", fields)
        if not word and not has_text and True in (fields.get("ok"), fields.get("success")):
            # Of the run, where its stream ends by that.
            self._stopped = self._stopped or ("stop" if self._answer.has_text else None)
            return None
        if is_end and normalized(str(status)) == "ok" and not self._answer.has_text:
            return None  # a server that is ready
        if is_end and is_told_of_part({**fields, "name": None}):
            return None
        if is_end and not (has_text and read_status(status) == "completed"):
            return self._complete(fields)
        is_last = any(fields.get(name) is True for name in _DONE)
        is_whole = self._is_whole(fields)
        is_list = isinstance(fields.get("data"), list)
        said = list(said_in(fields, is_text=is_list, place=place_of(fields)))
        sources = {(word, each.key) for each in said if each.category == "text"}
        if word and self._answer.has_text and not any(map(self._answer.has_source, sources)):
            said = [each for each in said if each.category not in ("text", "reasoning")]
        if self._blocks_repeat(fields):
            said = [each for each in said if each.category != "text"]
        events = self._say(said, word, is_last=is_last or is_whole)
        rest = self._after_text(fields, is_last=is_last)
        if said or rest or (not word and stop_in(fields)):
            return events + rest
        text = only_text(fields)
        if text is not None and self._answer.repeats(text, (word, "")):
            self._stopped = self._stopped or "stop"
        self._keep_spare(text, (word, ""))
        return None


def _is_of_component(word: str) -> bool:
    """Return whether the ids of an event are those of a part of a chain, as LangChain has them."""
    return word.startswith("on_")

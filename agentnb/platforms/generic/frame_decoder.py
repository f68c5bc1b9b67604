"""Decode frames with JSON, by the category of their names or by the shape of their content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

from agentnb._support.text import well_formed
from agentnb.event.types import Event, RawEvent
from agentnb.platforms._payloads import as_list, as_object, first_value, read_status
from agentnb.platforms._wire import MalformedError, as_text
from agentnb.platforms.generic.categories import (
    VAGUE,
    Category,
    category_of,
    frame_category,
    may_be_answer,
    normalized,
    word_set,
    words,
)
from agentnb.platforms.generic.content import (
    RESULTS,
    Translation,
    contents,
    is_of_user,
    last_answer,
    listed_calls,
    place_of,
    stop_reason,
    text_of,
    translated,
)
from agentnb.platforms.generic.fields import (
    envelopes,
    is_about_part,
    named_by_key,
    only_text,
    own_types,
    text_in,
    unwrapped,
)
from agentnb.platforms.generic.run_ends import is_final
from agentnb.platforms.generic.state import StreamState
from agentnb.platforms.generic.tool_calls import CallFields, read_call

CONTINUES: Final = word_set("tool_use tool_call tool_calls function_call function_calls pause_turn")
"""Reasons to stop after which the agent continues."""

# Ends of a message of the model, the last one unless the model stopped to call a tool.
_MESSAGE_ENDS: Final = word_set(
    "message_stop message_end response_completed response_done thread_run_completed"
)
_DONE: Final = words(
    "done finished is_finished is_final final stop complete completed is_complete end is_end eos"
)
_REASONING: Final = words(
    "content thinking reasoning text delta thought reasoning_content summary token chunk message "
    "data"
)
_TEXT: Final = words("content text delta token chunk message data")
_MAX_DEPTH: Final = 4


class FrameDecoder(StreamState):
    """Decoder of frames with JSON; see `GenericDecoder`.

    Private methods raise `MalformedError` for a frame without the fields that its kind needs.
    """

    own_kinds: ClassVar[frozenset[str]] = frozenset()
    """Kinds of frames for `decode_own`, as `normalized` spells them."""

    def decode_own(self, kind: str, fields: dict[str, Any]) -> list[Event]:
        """Return the events of a frame whose kind is one of `own_kinds`."""
        raise NotImplementedError

    def decode_frame(self, name: str, payload: Any, *, raw: str | None = None) -> list[Event]:
        """Return the events of a frame of parsed JSON; never raises.

        ``name`` is "" if only the payload has a type; ``raw`` is the frame's text.
        """
        self._is_structured = True
        outer = as_object(payload) if isinstance(payload, dict) else {"data": payload}
        problem: str | None = None
        try:
            events = self._frame(name, outer)
            if events is not None:
                return events
        except MalformedError as error:
            problem = str(error)
        kind = name or next(iter(own_types(outer)), "message")
        data = as_text(payload) if raw is None else well_formed(raw)
        usage = [] if problem else self._usage(outer)
        return [*usage, RawEvent(name=well_formed(kind), data=data, problem=problem)]

    # -- by name ---------------------------------------------------------------------------------

    def _frame(self, name: str, outer: dict[str, Any], depth: int = 0) -> list[Event] | None:
        """Return a frame's events, None if its kind is unknown."""
        outer = outer if name else dict(named_by_key(outer))
        types, fields = own_types(outer), unwrapped(outer)
        for kind in map(normalized, (name, *types)):
            if kind in self.own_kinds:
                return self._ids(fields, None) + self.decode_own(kind, fields)
        category, kind = frame_category(name, types)
        if depth < _MAX_DEPTH and (translations := translated(kind, fields)) is not None:
            return self._translations(translations, depth + 1)
        inner = self._inner(category, outer) if depth < _MAX_DEPTH else None
        # The ids in LangChain's events are those of a component of a chain.
        has_ids = not kind.startswith("on_")
        ids = self._ids(fields, None if inner else category) if has_ids else []
        if inner:
            events = self._frame("", inner, depth + 1)
        elif category is None:
            events = self._by_shape(fields, kind)
        else:
            events = self._by_category(category, fields, kind)
        return None if events is None else ids + events

    def _inner(self, category: Category | None, outer: dict[str, Any]) -> dict[str, Any] | None:
        """Return the frame that a vague one wraps, None if it wraps none."""
        if category is not None and category not in VAGUE:
            return None
        for inner in map(named_by_key, envelopes(outer)):
            found, _ = frame_category("", own_types(inner))
            if found is not None and (category is None or found != "text"):
                return dict(inner)
        return None

    def _translations(self, parts: Sequence[Translation], depth: int) -> list[Event] | None:
        events: list[Event] = []
        for kind, fields in parts:
            match kind:
                case "frame":
                    events += self._frame("", fields, depth) or []
                case "call":
                    events += self._started(self.calls.start_once(read_call(fields)))
                case "result":
                    events += self.calls.finish_once(read_call(fields))
                case "messages":
                    self._keep_fallback(last_answer(fields), ("", "messages"), is_whole=True)
                    events += self._usage(as_object(fields["messages"][-1]))
        return events or None

    def _by_category(
        self, category: Category, fields: dict[str, Any], kind: str
    ) -> list[Event] | None:
        match category:
            case "text":
                return self._text_frame(fields, kind)
            case "reasoning":
                text = self._reasoning(text_of(fields, _REASONING), (kind, ""))
                return text + self._usage(fields)
            case "usage" | "start":
                return self._usage(fields, bare=category == "usage")
            case "status":
                return self._status(fields)
            case "whole_text":
                self._keep_fallback(text_in(fields), (kind, ""))
                return self._usage(fields)
            case "turn_end":
                self.calls.forget_places()
                self._keep_fallback(text_in(fields), (kind, ""))
                self._stopped = normalized(stop_reason(fields) or "") or self._stopped or "stop"
                return self._usage(fields)
            case "step_end":
                return self._end_step(fields)
            case "end":
                return self._end_frame(fields, kind)
            case "failure" | "cancelled":
                call = read_call(fields)
                if call.call_id is not None:
                    return self.calls.finish(call, failed=True)
                return self._fail(category, fields)
            case "structure":
                return self._structure(fields, kind)
            case "ping":
                return None
            case _:
                return self._call_frame(category, fields, kind)

    def _text_frame(self, fields: dict[str, Any], kind: str) -> list[Event] | None:
        if is_of_user(fields):
            return self._of_user(fields)
        is_last = any(fields.get(name) is True for name in _DONE)
        found = list(contents(fields, is_text=True, place=place_of(fields)))
        events = self._content_events(found, kind, is_last=is_last)
        rest = self._after_text(fields, is_last=is_last)
        if found or rest or "choices" in fields or stop_reason(fields):
            return events + rest
        text = only_text(fields)
        if text is not None:
            return self._text(text, (kind, "")) + rest
        given = [name for name in _TEXT if name in fields]
        number = next((name for name in given if isinstance(fields[name], int | float)), None)
        if number is not None:
            raise MalformedError(f"{number}: Input should be a valid string")
        if not given:
            raise MalformedError("content: Field required")
        return []

    def _of_user(self, fields: dict[str, Any]) -> list[Event] | None:
        """Return the results of tools in a message to the agent; None without any."""
        found = [*contents(fields), *contents(as_object(fields.get("message")))]
        results = [each for each in found if each.category in RESULTS]
        return self._content_events(results, "") if results else None

    def _after_text(self, fields: dict[str, Any], *, is_last: bool) -> list[Event]:
        """Return the usage, and the end of the run, in a frame of text."""
        events = self._usage(fields)
        reason = stop_reason(fields)
        if reason is not None:
            self._stopped = normalized(reason)
            self.calls.forget_places()
        if fields.get("error") and not isinstance(fields.get("error"), bool):
            return events + self._fail("failure", fields)
        if is_last:
            without = {k: v for k, v in fields.items() if k not in _DONE and k not in _TEXT}
            return events + self._complete(without)
        return events

    def _call_frame(
        self, category: Category, fields: dict[str, Any], kind: str = ""
    ) -> list[Event] | None:
        call, place = read_call(fields), place_of(fields)
        self._stopped = None
        match category:
            case "call" | "arguments" if (items := listed_calls(fields)) is not None:
                return self._started(self.calls.fragments(items))
            case "call":
                events = self._started(self.calls.start(call, place=place))
                has_result = first_value(call.fields, "result", "output") is not None
                return events + self.calls.finish(call) if has_result else events
            case "arguments":
                return self.calls.arguments(call, place=place)
            case "arguments_done":
                return self.calls.arguments_done(call, place=place)
            case "output":
                return self.calls.output(call)
            case "tool":
                if call.is_over and call.arguments is None:
                    return self.calls.finish(call)
                return self._call_frame("call", fields)
            case "item":
                return self._item(fields, is_over=kind.endswith(("done", "completed")))
            case _:
                return self.calls.finish(call, failed=category == "tool_error")

    def _item(self, fields: dict[str, Any], *, is_over: bool) -> list[Event] | None:
        """Return the events of an item of the Responses API or of Codex."""
        item = as_object(fields.get("item"))
        kind = normalized(as_text(item.get("type")))
        if kind.endswith("_output"):
            return self.calls.finish(read_call(item))
        if not kind.endswith(("_call", "_execution")):
            text, source = as_text(item.get("text")) or text_in(item), as_text(item.get("id"))
            if kind == "agent_message" and text and is_over:
                return self._text(text, (kind, source))
            if kind == "reasoning" and text and is_over:
                return self._reasoning(text, ("item", source))
            if item.get("status") == "completed":
                self._keep_fallback(text, ("item", ""))
            return []
        name = kind.removesuffix("_call")
        call = CallFields({"name": name, "arguments": item.get("command"), **item})
        if self.calls.is_known(call):
            events = self.calls.arguments_done(call)
        else:
            events = self._started(self.calls.start(call, streams=True))
        results = ("output", "aggregated_output", "result", "results", "error")
        has_ended = first_value(item, *results) is not None and item.get("status") != "in_progress"
        return events + self.calls.finish(call) if has_ended else events

    def _structure(self, fields: dict[str, Any], kind: str) -> list[Event]:
        if isinstance(fields.get("message"), dict):
            self.calls.forget_places()
        block = first_value(fields, "content_block", "contentBlock", "start")
        if block is None and kind in ("part_start", "part_started"):
            block = fields.get("part")
        found = contents({"content": [block]}) if isinstance(block, dict) else ()
        placed = [each._replace(place=place_of(fields)) for each in found]
        started = self._ids(as_object(fields.get("message")), "start")
        return started + self._content_events(placed, kind) + self._usage(fields)

    def _status(self, fields: dict[str, Any]) -> list[Event] | None:
        status = first_value(fields, "status", "state", "data")
        if isinstance(status, dict):
            status = first_value(cast("dict[str, Any]", status), "state", "status")
        if not isinstance(status, str) or is_about_part(fields):
            return None
        match category_of(status), read_status(status):
            case ("failure", _) | (_, "failed"):
                return self._fail("failure", fields)
            case ("cancelled", _) | (_, "cancelled"):
                return self._fail("cancelled", fields)
            case ("end", _) | (_, "completed"):
                if fields.get("final") is True:
                    return self._complete({**fields, "status": "completed"})
                # It may be a step that has completed.
                self._stopped = self._stopped or "stop"
                return self._usage(fields)
            case _:
                return None

    def _end_frame(self, fields: dict[str, Any], kind: str) -> list[Event] | None:
        call = read_call({k: v for k, v in fields.items() if k != "data"})
        if call.is_of_call or (
            call.name is not None and self.calls.open_calls.is_open_name(call.name)
        ):
            return self.calls.finish(call)
        if kind == "final_result" and "tool_call_id" in fields and "output" not in fields:
            # Pydantic AI reports where its result starts.
            return []
        if any(name in fields for name in ("item_id", "content_index", "part_id", "partId")):
            return []
        reason = normalized(stop_reason(fields) or "") or self._stopped
        if kind in _MESSAGE_ENDS and (reason in CONTINUES or self._has_open_call(fields)):
            self._stopped = reason if reason in CONTINUES else "tool_calls"
            self.calls.forget_places()
            return self._usage(fields)
        return self._complete(fields)

    def _has_open_call(self, fields: dict[str, Any]) -> bool:
        """Return whether a whole response ends with a call without a result."""
        output = as_list(as_object(fields.get("response")).get("output"))
        last = as_object(output[-1]) if output else {}
        return last.get("type") == "function_call" and last.get("status") != "incomplete"

    # -- by shape --------------------------------------------------------------------------------

    def _by_shape(self, fields: dict[str, Any], kind: str) -> list[Event] | None:
        """Return the events of a frame of no known category, None if its shape is unknown, too.

        If it has a name, its text is the answer only if no other events have that.
        """
        if "choices" in fields or "candidates" in fields:
            return self._text_frame(fields, kind)
        if is_of_user(fields) or is_of_user(as_object(fields.get("message"))):
            return self._of_user(fields)
        if kind and not may_be_answer(kind):
            return None
        if text := next(filter(None, map(last_answer, (fields, *fields.values()))), None):
            # The state of a graph, which each of its steps repeats.
            self._keep_fallback(text, (kind, "messages"), is_whole=True)
            return None
        status = first_value(fields, "status", "state")
        has_text = any(isinstance(fields.get(name), str) for name in _TEXT[:5])
        is_end = not kind and is_final(status)
        if status is None and (run := as_object(fields.get("run"))) and not has_text:
            return self._status(run)
        if not kind and fields.get("error") and not has_text:
            return self._fail("failure", fields)
        call = read_call(fields)
        has_data = call.is_over or call.arguments is not None
        if call.is_of_call and has_data and not (is_end and call.call_id is None):
            return self._call_frame("tool", fields)
        if not kind and not has_text and True in (fields.get("ok"), fields.get("success")):
            # The run's status, if it is the last frame of the stream.
            self._stopped = self._stopped or ("stop" if self._answer.texts else None)
            return None
        is_ready = normalized(str(status)) == "ok" and not self._answer.texts
        if is_end and (is_ready or is_about_part({**fields, "name": None})):
            return None
        if is_end and not (has_text and read_status(status) == "completed"):
            return self._complete(fields)
        is_last = any(fields.get(name) is True for name in _DONE)
        was_partial, self._is_partial = self._is_partial, fields.get("partial") is True
        is_whole = was_partial and not self._is_partial
        is_list = isinstance(fields.get("data"), list)
        found = list(contents(fields, is_text=is_list, place=place_of(fields)))
        sources = {(kind, each.key) for each in found if each.category == "text"}
        if kind and self._answer.texts and sources.isdisjoint(self._answer.sources):
            found = [each for each in found if each.category not in ("text", "reasoning")]
        text = fields.get("data")
        is_delta = isinstance(text, str) and as_object(fields.get("delta")).get("text") == text
        if is_delta and ("content_block_delta", "delta") in self._answer.sources:
            # Strands repeats a block's delta, which it sent in Bedrock's form.
            found = [each for each in found if each.category != "text"]
        events = self._content_events(found, kind, is_last=is_last or is_whole)
        rest = self._after_text(fields, is_last=is_last)
        if found or rest or (not kind and stop_reason(fields)):
            return events + rest
        text = only_text(fields)
        if text is not None and self._answer.repeats(text, (kind, "")):
            self._stopped = self._stopped or "stop"
        self._keep_fallback(text, (kind, ""))
        return None

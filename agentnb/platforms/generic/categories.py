"""Categories of stream events by name, in any spelling that servers use."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from pydantic.alias_generators import to_camel

Category = (
    Literal["text", "whole_text", "reasoning", "call", "arguments", "arguments_done", "output"]
    | Literal["tool_result", "tool_error", "tool", "item", "usage", "start", "status"]
    | Literal["turn_end", "step_end", "end", "failure", "cancelled", "structure", "ping"]
)
"""What an event is about.

``whole_text`` repeats a part of the answer that may have streamed before; ``arguments`` are a
fragment of a tool call's arguments and ``output`` one of its output; ``tool`` and ``item`` are
decided by their content; ``turn_end`` ends one message of the model, which may be followed by
others, and ``step_end`` a step, which has such a message and the calls after it; ``structure``
frames other events and has no content.
"""


def words(text: str) -> tuple[str, ...]:
    """Return the names in ``text``, each also in camel case, for tables of fields."""
    names = text.split()
    return tuple(spelling for name in names for spelling in dict.fromkeys((name, to_camel(name))))


def word_set(text: str) -> frozenset[str]:
    """Return the set of words of ``text``."""
    return frozenset(text.split())


VAGUE: Final = word_set("text whole_text end start structure status usage")
"""Categories that a more specific type inside the frame overrides."""

_SPECIFIC: Final = word_set(
    "reasoning call arguments arguments_done output tool_result tool_error tool item failure "
    "cancelled ping"
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATOR: Final = re.compile(r"[^a-z0-9]+")
_MARKER: Final = re.compile(r"[\[<(|｜]+\s*(\w[\w▁ -]*?)\s*[\])>|｜]+")
_VERSION: Final = re.compile(r"(?<=.)_v\d+\Z")
_MAX_NAME: Final = 100
# Special tokens at the end of a model's output, which some servers do not remove.
_END_TOKENS: Final = word_set(
    "endoftext end_of_text im_end eot eot_id eos_token eod return end_of_turn end_of_turn_token "
    "endofturn end_of_sentence end_of_message end_of_utterance eom_id"
)
_PING: Final = word_set("ping pong heartbeat hb keepalive keep_alive noop")

# Names for which the rules by words would be wrong.  "raw" wraps events that the server also sends
# in its own dialect.
_EXACT_NAMES: Final[dict[Category, str]] = {
    "end": "message_stop message_end eos eof",
    "turn_end": "end_turn",
    "structure": "message_start on_chain_stream signature_delta citations_delta",
    "tool": "tool function",
    "tool_result": "tool_message tool_call_end tool_use_end tool_call_execution",
    "call": "tool_call tool_calls tool_use function_call",
    "step_end": (
        "step_finish finish_step step_finished step_end end_step step_complete step_completed"
    ),
    "arguments": "input_json_delta response_code_interpreter_call_code_delta",
    "start": (
        "metadata init system connected open response_created response_queued response_in_progress"
    ),
    "item": (
        "response_output_item_added response_output_item_done item_started item_updated "
        "item_completed"
    ),
    "reasoning": "partial_thinking tool_plan_delta",
    "arguments_done": "response_code_interpreter_call_code_done",
    # A completion alone is a fragment of text for some servers.
    "text": "artifact_update chat_completion completion",
    "usage": "usage_statistics",
    "status": "run",
    "ping": "raw ping pong heartbeat hb keepalive keep_alive noop",
}
_EXACT: Final[dict[str, Category]] = {
    name: category for category, names in _EXACT_NAMES.items() for name in names.split()
}

_END: Final = word_set(
    "complete completed completion done finish finished end ended stop final finalized result "
    "success succeeded"
)
_FAILURE: Final = word_set(
    "error errored failed failure fail exception incomplete fatal timeout expired"
)
_CANCELLED: Final = word_set("cancel cancelled canceled abort aborted stopped interrupted")
_START: Final = word_set("start started begin began created init initialized")
# The end of one of these is the end of the run.
_RUN: Final = word_set(
    "run agent response stream streaming chat conversation session workflow execution generation "
    "completion graph crew thread job request invocation query assistant of all is server kickoff"
)
# A run may have several of these.
_TURN: Final = word_set("message turn task answer reply")
_FINAL_OF: Final = word_set("answer output response result message text content report state")
_TOOL: Final = word_set("tool tools function functions mcp")
_TOOL_RESULT: Final = _END | word_set(
    "results output outputs response responses observation return returned"
)
_FRAGMENT: Final = word_set("delta chunk fragment partial progress stream")
_ARGUMENTS: Final = word_set("args arguments input inputs params parameters")
_CALL: Final = word_set(
    "call calls called calling use start started begin invoke invoked invocation request "
    "requested created added available execute executing running"
)
_REASONING: Final = word_set("thinking think thought thoughts reasoning")
_TEXT: Final = word_set(
    "text texts delta chunk token tokens content message messages answer response completion "
    "reply stream partial output refusal assistant ai fragment piece utterance word"
)
_TEXT_QUALIFIER: Final = word_set(
    "agent run new llm chat model generation block thread part streaming bot data raw on update "
    "final generated"
)
_STRUCTURE: Final = _TEXT | word_set("block part item summary thread annotation")
_STRUCTURE_ENDS: Final = (_END | _START | word_set("added queued in progress")) - word_set(
    "result final completion"
)
_STATUS: Final = word_set("status state")
_USAGE: Final = word_set("usage metrics")
_NO_ANSWER: Final = word_set(
    "log logs debug info warning warn status progress metadata meta title state trace source "
    "sources citation citations plan task todo todos step node notification notice system user "
    "human input prompt query summary memory checkpoint telemetry signature annotation stderr "
    "stdout file files url image audio suggestion suggestions followup followups session config "
    "debugger approval permission hook command terminal diff edit artifact span event connected "
    "ready renamed rename custom activity call"
)


class _Rule(NamedTuple):
    """A name's category by its words: its first or last one, the others, and any of them."""

    category: Category | None
    last: frozenset[str] | None = None
    first: frozenset[str] | None = None
    others: frozenset[str] | None = None
    has: frozenset[str] | None = None

    def matches(self, parts: list[str]) -> bool:
        others = set(parts)
        if self.has is not None and not self.has & others:
            return False
        if self.last is not None:
            others = set(parts[:-1]) if parts[-1] in self.last else {""}
        elif self.first is not None:
            others = set(parts[1:]) if parts[0] in self.first else {""}
        return "" not in others and (self.others is None or others <= self.others)


# The first that matches counts.
_TOOL_RULES: Final = (
    _Rule("tool_error", has=_FAILURE | _CANCELLED),
    _Rule("call", has=_ARGUMENTS, last=word_set("start started begin available")),
    _Rule("arguments_done", has=_ARGUMENTS, last=_END),
    _Rule("arguments", has=_ARGUMENTS),
    _Rule("tool_result", has=word_set("return returned")),
    _Rule("output", has=word_set("output outputs result results"), last=_FRAGMENT),
    _Rule("arguments", last=_FRAGMENT),
    _Rule("tool_result", last=_TOOL_RESULT),
    _Rule("tool_result", has=word_set("output"), last=word_set("available")),
    _Rule("call", last=_CALL | _TOOL),
)
_RULES: Final = (
    _Rule("structure", has=_REASONING, last=_STRUCTURE_ENDS),
    _Rule("reasoning", has=_REASONING),
    _Rule("failure", last=word_set("exception")),
    _Rule("usage", has=_USAGE, others=_USAGE | word_set("token tokens metadata llm run")),
    _Rule("failure", last=_FAILURE, others=_RUN),
    _Rule("failure", first=_FAILURE, others=_RUN),
    _Rule("cancelled", last=_CANCELLED, others=_RUN),
    _Rule("cancelled", first=_CANCELLED, others=_RUN),
    _Rule("end", last=_END, others=_RUN),
    _Rule("end", first=_END, others=_RUN),
    _Rule("end", first=word_set("final"), others=_FINAL_OF),
    _Rule("failure", last=_FAILURE, others=_RUN | _TURN),
    _Rule("turn_end", last=_END, others=_RUN | _TURN),
    _Rule("turn_end", first=_END, others=_RUN | _TURN),
    _Rule("start", last=_START, others=_RUN),
    _Rule("status", has=_STATUS, others=_STATUS | _RUN | word_set("update task")),
    _Rule(
        "whole_text",
        has=word_set("text content message output"),
        last=_STRUCTURE_ENDS & _END,
        others=_STRUCTURE - {"block"},
    ),
    _Rule("structure", last=_STRUCTURE_ENDS, others=_STRUCTURE),
    _Rule("structure", has=word_set("block"), last=_STRUCTURE_ENDS),
    _Rule("text", has=_TEXT, others=_TEXT | _TEXT_QUALIFIER),
)


@lru_cache(maxsize=512)
def normalized(name: str) -> str:
    """Return ``name`` in lower case, its words joined by "_"; "" if it is too long for a name.

    ``RunCompleted`` and ``run.completed`` are both ``run_completed``.
    """
    if len(name) > _MAX_NAME:
        return ""
    return _SEPARATOR.sub("_", _CAMEL.sub("_", name.strip()).lower()).strip("_")


# Streams have a handful of names; the cache is bounded for servers that generate them.
@lru_cache(maxsize=512)
def category_of(name: str) -> Category | None:
    """Return the category of an event's name, in any case and with any separators, if known."""
    name = normalized(name)
    bare = _VERSION.sub("", name.removeprefix("on_"))
    bare = bare.removesuffix("_event").removesuffix("_frame").removeprefix("event_")
    if name in _EXACT or bare in _EXACT:
        return _EXACT.get(name) or _EXACT[bare]
    if not bare:
        return None
    parts = bare.split("_")
    rules = _RULES
    if not _TOOL.isdisjoint(parts) or "function_call" in bare or bare == "observation":
        parts = parts[:-1] if parts[-1] == "message" else parts
        rules = _TOOL_RULES
    return next((rule.category for rule in rules if rule.matches(parts)), None)


def frame_category(name: str, types: list[str]) -> tuple[Category | None, str]:
    """Return the category of a frame, and the normalized name or type that decided it."""
    by_type: Category | None = None
    kind = types[0] if types else ""
    for each in types:
        if (by_type := category_of(each)) is not None:
            kind = each
            break
    by_name = category_of(name) if name else None
    if by_name is None or (by_name in VAGUE and by_type in _SPECIFIC):
        return by_type, normalized(kind if by_type is not None else name or kind)
    return by_name, normalized(name)


def may_be_answer(name: str) -> bool:
    """Return whether an event of an unknown name may have text of the answer.

    Logs, progress, titles and the like do not.
    """
    parts = normalized(name).removesuffix("_event").split("_")
    # Names of data parts of the AI SDK start with "data-".
    is_data_part = len(parts) > 1 and parts[0] == "data"
    return not is_data_part and _NO_ANSWER.isdisjoint(parts) and _PING.isdisjoint(parts)


def marker_category(text: str) -> Category | None:
    """Return the category of a bare marker such as ``[DONE]``; None if it is none."""
    if len(text) > 30:
        return None
    if normalized(text) in _PING and not text[:1].isspace():
        return "ping"
    if text.strip().lower() == "</s>":
        return "end"
    marker = _MARKER.fullmatch(text.strip())
    if marker is None:
        return None
    if text.lstrip()[0] != "[" and normalized(marker[1]) in _END_TOKENS:
        return "end"
    category = category_of(marker[1])
    return category if category in ("end", "failure", "cancelled", "ping") else None

"""Categories of stream events by name, in any spelling that servers use."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

__all__ = [
    "VAGUE",
    "Category",
    "category_of",
    "frame_category",
    "marker_category",
    "may_be_answer",
    "normalized",
    "word_set",
    "words",
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
others, and ``step_end`` a step, which has such a message and the calls after it; ``structure``
frames other events and has no content.
"""


def words(text: str) -> tuple[str, ...]:
    """Return the words of ``text``, for tables of names."""
    return tuple(text.split())


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
_VERSION: Final = re.compile(r"v\d+")
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
    "text": "artifact_update chat_completion",
    "usage": "usage_statistics",
    "status": "run",
    "ping": "raw",
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
_NO_ANSWER: Final = word_set(
    "log logs debug info warning warn status progress metadata meta title state trace source "
    "sources citation citations plan task todo todos step node notification notice system user "
    "human input prompt query summary memory checkpoint telemetry signature annotation stderr "
    "stdout file files url image audio suggestion suggestions followup followups session config "
    "debugger approval permission hook command terminal diff edit artifact span event connected "
    "ready renamed rename custom activity call"
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
    if name in _EXACT:
        return _EXACT[name]
    if name in _PING:
        return "ping"
    parts = [part for part in name.split("_") if part]
    if len(parts) > 1 and parts[0] == "on":
        del parts[0]
    if len(parts) > 1 and _VERSION.fullmatch(parts[-1]):
        del parts[-1]
    if len(parts) > 1 and parts[-1] in ("event", "frame"):
        del parts[-1]
    elif len(parts) > 1 and parts[0] == "event":
        del parts[0]
    bare = "_".join(parts)
    if bare in _EXACT:
        return _EXACT[bare]
    if not parts:
        return None
    given = set(parts)
    if given & _TOOL or "function_call" in bare or given == {"observation"}:
        return _tool_category(parts)
    if given & _REASONING:
        return "structure" if parts[-1] in _STRUCTURE_ENDS else "reasoning"
    return _run_category(parts) or _content_category(parts)


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


def _tool_category(parts: list[str]) -> Category | None:
    if parts[-1] == "message":
        del parts[-1]
    given, last = set(parts), parts[-1]
    if given & (_FAILURE | _CANCELLED):
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
    return "call" if last in _CALL or last in _TOOL else None


def _run_category(parts: list[str]) -> Category | None:
    """Return the category of a name of the start or end of a run, or of a message in it."""
    given, last, first = set(parts), parts[-1], parts[0]
    before, after = set(parts[:-1]), set(parts[1:])
    if before and last == "exception":
        return "failure"
    if given & {"usage", "metrics"} and given <= {
        *("usage", "metrics", "token", "tokens", "metadata", "llm", "run")
    }:
        return "usage"
    kinds: tuple[tuple[frozenset[str], Category], ...] = (
        (_FAILURE, "failure"),
        (_CANCELLED, "cancelled"),
        (_END, "end"),
    )
    for ends, category in kinds:
        if last in ends and before <= _RUN:
            # Alone, some servers use it for a fragment of text.
            return None if parts == ["completion"] else category
        if first in ends and after <= _RUN:
            return category
    if first == "final" and after <= _FINAL_OF:
        return "end"
    if last in _FAILURE and before <= _RUN | _TURN:
        return "failure"
    if (last in _END and before <= _RUN | _TURN) or (first in _END and after <= _RUN | _TURN):
        return "turn_end"
    if last in _START and before <= _RUN:
        return "start"
    if given & _STATUS and given <= _STATUS | _RUN | {"update", "task"}:
        return "status"
    return None


def _content_category(parts: list[str]) -> Category | None:
    given, last = set(parts), parts[-1]
    if last in _STRUCTURE_ENDS and set(parts[:-1]) <= _STRUCTURE:
        has_text = given & {"text", "content", "message", "output"} and last in _END
        return "whole_text" if has_text and "block" not in given else "structure"
    if "block" in given and last in _STRUCTURE_ENDS:
        return "structure"
    return "text" if given <= _TEXT | _TEXT_QUALIFIER and given & _TEXT else None


def may_be_answer(name: str) -> bool:
    """Return whether an event of an unknown name may have text of the answer.

    Logs, progress, titles and the like do not.
    """
    parts = normalized(name).split("_")
    if len(parts) > 1 and parts[-1] == "event":
        del parts[-1]
    if len(parts) > 1 and parts[0] == "data":
        # A data part of the AI SDK.
        return False
    return not _NO_ANSWER.intersection(parts) and not _PING.intersection(parts)


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

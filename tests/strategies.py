"""What hypothesis needs to know of events: any of them, in any order."""

from __future__ import annotations

from hypothesis import strategies as st

from agentnb.event.types import (
    ApprovalRequested,
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)

# Of one, two and more UTF-16 units and UTF-8 bytes, and what Markdown and terminals act upon.
CHARACTERS = "ab \n\t`*|<&$é…שلم\u200b\u202e中🚀👩\u200d\U000e0041\x00\x1b\r"

texts = st.text(max_size=12) | st.text(CHARACTERS, max_size=12)
maybe_texts = st.none() | texts
counts = st.none() | st.integers(0, 2**40)
times = st.none() | st.floats(0, 1e6)
call_ids = st.sampled_from(["a", "b", "c"])
part_ids = st.none() | st.sampled_from(["p", "q"])
json_objects = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=2),
        max_leaves=4,
    ),
    max_size=2,
)

usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    total_tokens=counts,
    cached_tokens=counts,
    reasoning_tokens=counts,
    cost_usd=times,
)
starts = st.builds(
    RunStarted, run_id=maybe_texts, session_id=maybe_texts, agent=maybe_texts, model=maybe_texts
)
reasoning = st.builds(ReasoningDelta, texts, part_ids)
text_deltas = st.builds(TextDelta, texts, part_ids)
call_starts = st.builds(ToolCallStarted, call_id=call_ids, name=texts, arguments=texts)
call_deltas = st.builds(ToolCallDelta, call_id=call_ids, arguments=texts, output=texts)
call_ends = st.builds(
    ToolCallFinished,
    call_id=call_ids,
    name=maybe_texts,
    arguments=maybe_texts,
    result=maybe_texts,
    error=maybe_texts,
)
reports = st.builds(UsageReported, usage=usages, model=maybe_texts)
followups = st.builds(FollowupsSuggested, followups=st.lists(texts, max_size=2).map(tuple))
approvals = st.builds(
    ApprovalRequested, approval_id=maybe_texts, message=texts, tool=maybe_texts, arguments=texts
)
raw_events = st.builds(RawEvent, name=texts, data=texts, problem=maybe_texts)
finishes = st.builds(RunFinished, output=maybe_texts, duration=times, details=json_objects)
failures = st.builds(
    RunFailed,
    message=texts,
    status=st.sampled_from(["failed", "truncated", "interrupted"]),
    code=maybe_texts,
    retry_after=times,
    error_type=maybe_texts,
    details=json_objects,
)
cancellations = st.builds(RunCancelled, reason=maybe_texts)

terminal_events = finishes | failures | cancellations
running_events = (
    starts
    | reasoning
    | text_deltas
    | call_starts
    | call_deltas
    | call_ends
    | reports
    | followups
    | approvals
    | raw_events
)
events: st.SearchStrategy[Event] = running_events | terminal_events
event_lists: st.SearchStrategy[list[Event]] = st.lists(events, max_size=20)

"""A store filled with runs as people and agents make them: varied, and the same every time."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentnb.event.serialization import encode
from agentnb.event.types import (
    Event,
    FollowupsSuggested,
    ReasoningDelta,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.store.schema import content, event_chunk, process, run, tool_call
from agentnb.store.store import Store
from agentnb.store.values import span, to_micros

__all__ = ["LAST", "seed"]

#: When the newest run may begin.
LAST: Final = datetime(2026, 1, 31, 18, 0, tzinfo=UTC)

# Platform, agent, models, tools, mean seconds of an answer, whether the platform tells the cost.
_AGENTS: Final = (
    ("operativus", "finance_agent", ("gpt-large", "gpt-small"), ("get_price", "get_news"), 9, True),
    ("operativus", "research_agent", ("gpt-large",), ("web_search", "read_page"), 24, True),
    ("seekr", "support_agent", ("seekr-flow-1",), ("search_tickets",), 5, False),
    ("seekr", "contracts_agent", ("seekr-flow-1", "seekr-flow-2"), ("read_file",), 14, False),
    ("runtools", "data_agent", ("claude-mid",), ("run_sql", "plot"), 12, True),
    ("local", "summarize", (None,), (), 1, False),
)
_USERS: Final = ("ada", "grace", "linus", "margaret")
_SUBJECTS: Final = ("NVDA", "the bond yields", "ticket 4711", "the lease", "Q3 revenue", "Zürich")
_QUESTIONS: Final = (
    "What is the current price of {}, and why?",
    "Summarize what happened with {} last week.",
    "Compare {} with the year before.",
    "Which risks does {} carry?",
)
_FAILURES: Final = (
    ("The platform is overloaded.", "503", "ServerError"),
    ("Too many requests.", "429", "RateLimitError"),
    ("The answer did not come in time.", None, "DeadlineError"),
    ("The tool returned nothing.", "tool_error", None),
)
_STATUSES: Final = ("completed", "failed", "cancelled", "truncated", "interrupted")
_WEIGHTS: Final = (90, 5, 2, 2, 1)
_BATCH: Final = 2_000


def seed(
    store: Store,
    *,
    runs: int = 500,
    seed: int = 0,
    days: float = 30,
    until: datetime = LAST,
    events: bool = True,
) -> list[str]:
    """Put ``runs`` runs of the ``days`` before ``until`` into ``store``; return their keys.

    They are of several agents, users, models, sessions and statuses, with tokens, costs, errors,
    tool calls, texts and, with ``events``, events.  The same ``seed`` gives the same runs.
    """
    chance = random.Random(seed)
    user_processes = _processes(store, until, seed)
    moments = sorted(_moment(chance, until, days) for _ in range(runs))
    keys: list[str] = []
    session: dict[str, str] = {}
    for start in range(0, runs, _BATCH):
        rows: dict[str, list[dict[str, Any]]] = {"run": [], "content": [], "tool": [], "chunk": []}
        for number, moment in enumerate(moments[start : start + _BATCH], start):
            key = f"{chance.getrandbits(128):032x}"
            keys.append(key)
            _one(chance, rows, session, key, number, moment, user_processes)
        tables = {"run": run, "content": content, "tool": tool_call}
        if events and store.store_content:
            tables["chunk"] = event_chunk
        with store.begin() as connection:
            for name, table in tables.items():
                if rows[name]:
                    connection.execute(table.insert(), rows[name])
    return keys


def _processes(store: Store, until: datetime, seed: int) -> dict[str, str]:
    found = {user: f"{seed:016x}{number:016x}" for number, user in enumerate(_USERS, 1)}
    ended = to_micros(until)
    with store.begin() as connection:
        for user, key in found.items():
            row = {"id": key, "host": "elsewhere", "pid": 1, "user_name": user}
            row |= {"started_at": ended - 10**12, "seen_at": ended, "ended_at": ended}
            connection.execute(store.insert(process).values(row).on_conflict_do_nothing())
    return found


def _moment(chance: random.Random, until: datetime, days: float) -> datetime:
    # More in the working hours, and more of late.
    back = timedelta(days=days * chance.random() ** 1.3)
    moment = until - back
    if chance.random() < 0.7:
        moment = moment.replace(hour=chance.randrange(8, 19), minute=chance.randrange(60))
    return moment if moment <= until else moment - timedelta(days=1)


def _one(
    chance: random.Random,
    rows: dict[str, list[dict[str, Any]]],
    sessions: dict[str, str],
    key: str,
    number: int,
    moment: datetime,
    processes: dict[str, str],
) -> None:
    platform, agent, models, tools, pace, tells_cost = chance.choices(
        _AGENTS, weights=(30, 12, 25, 10, 15, 8)
    )[0]
    user = chance.choice(_USERS)
    status = chance.choices(_STATUSES, weights=_WEIGHTS)[0]
    run_id = None if platform == "local" else f"run_{key[:20]}"
    place = f"{agent} {user}"
    if place not in sessions or chance.random() < 0.3:
        sessions[place] = f"session_{key[:16]}"
    model = chance.choice(models)
    started = to_micros(moment)
    prompt = chance.choice(_QUESTIONS).format(chance.choice(_SUBJECTS))
    first = round(chance.lognormvariate(-0.2, 0.5), 6)
    duration = round(first + chance.lognormvariate(0, 0.6) * pace, 6)
    failure = chance.choice(_FAILURES) if status == "failed" else None
    used = chance.choices(tools, k=chance.randrange(0, 4)) if tools else []
    told, times, calls = _events(chance, run_id, sessions[place], model, used, first, duration)
    usage = _usage(chance, has_cost=tells_cost) if status != "truncated" and model else Usage()
    text = "".join(event.text for event in told if isinstance(event, TextDelta))
    error = None
    match status:
        case "completed":
            told += [UsageReported(usage=usage), FollowupsSuggested(followups=("And then?",))]
            told.append(RunFinished())
        case "cancelled":
            error = "The run was cancelled."
            told.append(RunCancelled(reason="by the user"))
        case _:
            message, code, kind = failure or (f"The run was {status}.", None, None)
            error = message
            told.append(
                RunFailed(
                    message=message,
                    status=status,  # pyright: ignore[reportArgumentType]
                    code=code,
                    error_type=kind,
                )
            )
    times += [duration] * (len(told) - len(times))
    rows["run"].append(
        {
            "key": key,
            "source": "both" if platform == "seekr" and number % 3 == 0 else "recorded",
            "process": processes[user],
            "platform": platform,
            "agent": agent,
            "title": agent,
            "run_id": run_id,
            "session_id": sessions[place],
            "model": model,
            "user_name": user,
            "status": status,
            "started_at": started,
            "finished_at": started + (span(duration) or 0),
            "duration": span(duration),
            "first_token": span(first) if text else None,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cost_usd": usage.cost_usd,
            "tool_calls": len(calls),
            "tool_errors": sum(call["status"] == "failed" for call in calls),
            "reconnects": 0,
            "events": len(told),
            "error": error,
            "error_code": failure and failure[1],
            "error_class": failure and failure[2],
        }
    )
    remote = None
    if rows["run"][-1]["source"] == "both":
        remote = json.dumps({"id": run_id, "created_at": moment.isoformat(), "temperature": 0.5})
    rows["content"].append(
        {"run": key, "prompt": prompt, "text": text, "reasoning": "Let me see.", "remote": remote}
    )
    rows["tool"] += [{"run": key, **call} for call in calls]
    rows["chunk"].append(
        {"run": key, "first": 0, "count": len(told), "payload": encode(told, times)}
    )


def _events(
    chance: random.Random,
    run_id: str | None,
    session_id: str,
    model: str | None,
    tools: list[str],
    first: float,
    duration: float,
) -> tuple[list[Event], list[float], list[dict[str, Any]]]:
    told: list[Event] = [RunStarted(run_id=run_id, session_id=session_id, model=model)]
    times = [round(first / 3, 6)]
    told.append(ReasoningDelta("Let me see."))
    times.append(first)
    calls: list[dict[str, Any]] = []
    step = (duration - first) / (2 * len(tools) + 2)
    at = first
    for position, name in enumerate(tools):
        arguments, result = json.dumps({"q": position}), json.dumps({"rows": position + 1})
        failed = chance.random() < 0.08
        began, at = at + step * chance.random(), at + 2 * step
        call = {"call_id": f"call_{position}", "name": name}
        told.append(ToolCallStarted(**call, arguments=arguments))
        error = "The tool failed." if failed else None
        told.append(ToolCallFinished(**call, result=None if failed else result, error=error))
        times += [round(began, 6), round(at, 6)]
        calls.append(
            {
                **call,
                "position": position,
                "status": "failed" if failed else "completed",
                "started": span(times[-2]),
                "finished": span(times[-1]),
                "arguments": arguments,
                "result": "" if failed else result,
                "error": error,
            }
        )
    words = [f"Word{n} " for n in range(chance.randrange(3, 12))]
    for place, word in enumerate(words):
        told.append(TextDelta(word))
        times.append(round(at + (duration - at) * (place + 1) / (len(words) + 1), 6))
    return told, times, calls


def _usage(chance: random.Random, *, has_cost: bool) -> Usage:
    count, output = int(chance.lognormvariate(7.2, 0.8)), int(chance.lognormvariate(5.8, 0.7))
    return Usage(
        input_tokens=count,
        output_tokens=output,
        total_tokens=count + output,
        cached_tokens=int(count * chance.choice((0, 0.25, 0.5))),
        reasoning_tokens=int(output * chance.choice((0, 0.3))),
        cost_usd=round(count * 2.5e-6 + output * 1e-5, 8) if has_cost else None,
    )

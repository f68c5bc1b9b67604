"""Runs to be rendered, hostile texts, and a reader of the HTML that comes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from agentnb.event.timeline import timeline
from agentnb.event.transcript import Transcript
from agentnb.event.types import (
    Event,
    FollowupsSuggested,
    RawEvent,
    ReasoningDelta,
    RunFinished,
    RunStarted,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from agentnb.render import RunView

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"

ANSWER = """\
**NVDA** is at **$181.46** (sample data), up from $175.20.

| Day | Close | Change |
|:----|------:|:------:|
| Mon | $175.20 | – |
| Wed | $181.46 | +3.6 % |

# Why
See [the report](https://example.com/r?a=1&b=2).

- [x] read
- [ ] ~~skip~~ later

```python
print("<b>")
```
"""

REPORT = """
## Volatility

Over the period the price moved between $171.20 and $189.95, and most of the days ended **within
two per cent** of the day before. The widest swing came on the day of the quarterly figures, when
trading began 4.1 % higher and gave back half of it.

- The standard deviation of the daily changes is 1.8 %, against 1.3 % for the whole set.
- The longest run of gains lasted five days; the longest run of losses three.

| Measure | NVDA | Whole set |
|:--------|-----:|----------:|
| Standard deviation of daily changes | 1.8 % | 1.3 % |
| Largest daily gain | 4.1 % | 4.1 % |

See [the method](https://example.com/method) for how these were computed.
"""

EVENTS: list[Event] = [
    RunStarted(run_id="run_1", session_id="s_1", agent="finance_agent", model="sample-1"),
    ReasoningDelta("I look it **up**."),
    ToolCallStarted(call_id="c1", name="get_price", arguments='{"symbol":"NVDA"}'),
    ToolCallFinished(call_id="c1", result='{"symbol":"NVDA","price":181.46}'),
    TextDelta(ANSWER),
    RawEvent(name="heartbeat", data="{}"),
    UsageReported(
        usage=Usage(
            input_tokens=1204,
            output_tokens=310,
            total_tokens=1514,
            cached_tokens=100,
            reasoning_tokens=64,
            cost_usd=0.0042,
        )
    ),
    FollowupsSuggested(followups=("And AMD?",)),
]


def view_of(events: Iterable[Event], **given: Any) -> RunView:
    """Return a view of the run that brought these events, a quarter of a second apart."""
    transcript = Transcript()
    events = list(events)
    times = [i / 4 for i in range(len(events))]
    for event, at in zip(events, times, strict=True):
        transcript.apply(event, at=at)
    known: dict[str, Any] = {
        "title": "finance_agent",
        "platform": "operativus",
        "prompt": "What is the current NVDA stock price?",
        "elapsed": 2.31,
        "duration": 2.31 if transcript.is_final else None,
        "time_to_first_token": 0.31,
        "segments": lambda: timeline(events, times),
    }
    return RunView(transcript=transcript, **(known | given))


def answered(text: str) -> RunView:
    return view_of([TextDelta(text), RunFinished()])


@dataclass
class Read(HTMLParser):
    """A document as a browser would build it from well-formed markup."""

    elements: list[tuple[str, dict[str, str | None]]] = field(
        default_factory=list[tuple[str, dict[str, str | None]]]
    )
    pieces: list[str] = field(default_factory=list[str])
    others: list[str] = field(default_factory=list[str])
    open: list[str] = field(default_factory=list[str])
    balanced: bool = True

    VOID = frozenset({"br", "hr", "meta"})

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.balanced &= bool(self.open) and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def links(self) -> list[str]:
        return [str(attributes["href"]) for tag, attributes in self.elements if tag == "a"]

    def names(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def read(markup: str) -> Read:
    reader = Read()
    reader.feed(markup)
    reader.close()
    return reader


def conformance(name: str) -> Any:
    return json.loads((CONFORMANCE / name).read_text(encoding="utf-8"))


def expanded(markdown: str | list[str]) -> str:
    """Return a case's text: as it is, in pieces, or made by the expression in it."""
    text = "".join(markdown)
    if text.startswith("GEN:"):
        return str(eval(text.removeprefix("GEN:"), {"__builtins__": {}}))
    return text


ATTACKS: list[dict[str, Any]] = conformance("model_output_attacks.json")["cases"]


def pathological() -> dict[str, str]:
    """Return Markdown that makes parsers slow, by name."""
    made = {
        "LISTS": "".join("  " * x + "* a\n" for x in range(1000)),
        "TICKS": "".join("e" + "`" * x for x in range(3000)),
        "TABLE": "|" + "a|" * 5000 + "\n|" + "-|" * 5000 + "\n" + ("|" + "b|" * 5000 + "\n") * 5,
    }
    patterns: dict[str, Any] = conformance("markdown_pathological.json")["patterns"]
    return {
        name: made[pattern]
        if isinstance(pattern, str)
        else "".join(piece * count for piece, count in pattern)
        for name, pattern in patterns.items()
    }

"""``finance_agent``: answers questions about the bundled sample prices.

It reads companies, periods and kinds of question, calls its tools on the data, remembers the
conversation, and says what it cannot do.  The same conversation always gives the same answer.
Usage is an estimate: one token for every four characters of what it read and wrote.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, cast

from agentnb.event.types import Event, FollowupsSuggested, TextDelta, Usage, UsageReported
from agentnb.sandbox.agents.finance.answers import Answer, answer
from agentnb.sandbox.agents.finance.prices import load_prices
from agentnb.sandbox.agents.finance.question import parse_question
from agentnb.sandbox.agents.finance.remarks import closing_line, suggest
from agentnb.sandbox.agents.finance.schema import fill_schema
from agentnb.sandbox.agents.finance.tools import Desk
from agentnb.sandbox.agents.tokens import count_tokens, pieces

if TYPE_CHECKING:
    from agentnb.platforms.local import FunctionContext

__all__ = ["finance_agent"]

_MODEL = "sandbox-finance-1"


async def finance_agent(prompt: str, context: FunctionContext) -> AsyncGenerator[Event, None]:
    """Prices, changes, comparisons and volatility of ten well-known shares, on sample data."""
    prices = load_prices()
    earlier = [m["content"] for m in context.history if m["role"] == "user"]
    question = parse_question(prompt, earlier, prices.last_day)
    desk = Desk(prices)
    working = answer(question, desk)
    while True:
        try:
            yield next(working)
        except StopIteration as done:
            result: Answer = done.value
            break
    schema = _schema(context)
    if schema is None:
        text = f"{result.text}\n\n{closing_line()}"
    else:
        for event in desk.think("The answer is asked for as JSON, so I fill in the schema."):
            yield event
        text = fill_schema(schema, result, question)
    for piece in pieces(text):
        yield TextDelta(piece)
    read = sum(len(m["content"]) for m in context.history) + len(prompt) + desk.characters_read
    thought = count_tokens("x" * desk.characters_thought)
    sent, received = count_tokens("x" * read), thought + count_tokens(text)
    yield UsageReported(
        usage=Usage(
            input_tokens=sent,
            output_tokens=received,
            total_tokens=sent + received,
            reasoning_tokens=thought,
        ),
        model=_MODEL,
    )
    yield FollowupsSuggested(followups=suggest(question))


def _schema(context: FunctionContext) -> Mapping[str, Any] | None:
    """Return the schema asked for: the platform's own, or a parameter where it has none."""
    given = context.output_schema
    if given is None:
        given = context.params.get("output_schema")
    if not isinstance(given, Mapping):
        return None
    schema = cast("Mapping[str, Any]", given)
    inner = schema.get("schema")
    if isinstance(inner, Mapping) and "properties" not in schema:
        # Some clients wrap it, with a name beside it.
        return cast("Mapping[str, Any]", inner)
    return schema

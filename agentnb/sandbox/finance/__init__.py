"""``finance_agent``: answers questions about the bundled sample prices.

It parses companies, periods and kinds of question, calls its tools on the data, remembers the
conversation, and says what it cannot do.  The same conversation always gives the same answer.
Usage is an estimate: one token for every four characters read and written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, cast

from agentnb.event.types import Event, FollowupsSuggested, TextDelta, Usage, UsageReported
from agentnb.sandbox.echo import count_tokens, pieces
from agentnb.sandbox.finance.answers import answer, suggest
from agentnb.sandbox.finance.prices import closing_line, load_prices
from agentnb.sandbox.finance.question import parse_question
from agentnb.sandbox.finance.schema import fill_schema
from agentnb.sandbox.finance.tools import Toolbox

if TYPE_CHECKING:
    from agentnb.platforms.local import FunctionContext

__all__ = ["finance_agent"]

_MODEL = "sandbox-finance-1"


async def finance_agent(prompt: str, context: FunctionContext) -> AsyncGenerator[Event, None]:
    """Prices, changes, comparisons and volatility of ten well-known shares, on sample data."""
    prices = load_prices()
    earlier = [m["content"] for m in context.history if m["role"] == "user"]
    question = parse_question(prompt, earlier, prices.last_day)
    tools = Toolbox(prices)
    result = answer(question, tools)
    schema = _output_schema(context)
    if schema is not None:
        tools.think("The answer is requested as JSON, so I fill in the schema.")
        text = fill_schema(schema, result)
    else:
        text = "\n\n".join([*result.paragraphs, closing_line()])
    for event in tools.events:
        yield event
    for piece in pieces(text):
        yield TextDelta(piece)
    read = sum(len(m["content"]) for m in context.history) + len(prompt) + tools.characters_read
    reasoning = count_tokens(tools.characters_thought)
    input_tokens, output_tokens = count_tokens(read), reasoning + count_tokens(len(text))
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        reasoning_tokens=reasoning,
    )
    yield UsageReported(usage=usage, model=_MODEL)
    yield FollowupsSuggested(followups=suggest(question))


def _output_schema(context: FunctionContext) -> Mapping[str, Any] | None:
    """Return the requested schema: the platform's own, or a parameter where it has none."""
    schema: Any = context.output_schema
    if schema is None:
        schema = context.params.get("output_schema")
    if not isinstance(schema, Mapping):
        return None
    # Some clients wrap the schema together with its name.
    inner: Any = cast("Mapping[str, Any]", schema).get("schema")
    return cast("Mapping[str, Any]", inner if isinstance(inner, Mapping) else schema)

"""An AG-UI server: an agent of Pydantic AI whose model is a script and needs no key."""

import asyncio
import json

from pydantic_ai import Agent, DeferredToolRequests
from pydantic_ai.messages import ToolReturnPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.routing import Route

PRICES = {"green tea": 4.20, "black tea": 3.60}


async def model(messages, info):
    """Call a tool for each question, then answer word by word."""
    last = messages[-1].parts[-1]
    await asyncio.sleep(0.1)
    if not isinstance(last, ToolReturnPart):
        if info.function_tools[-1].name == "describe":
            yield {0: DeltaToolCall("describe", '{"column": "packets"}', tool_call_id="call-2")}
        else:
            tea = next((tea for tea in PRICES if tea in last.content.lower()), "oolong")
            yield {0: DeltaToolCall("price_of", json.dumps({"tea": tea}), tool_call_id="call-1")}
        return
    if last.tool_name == "price_of":
        answer = f"A packet costs **{last.content:.2f} €**."
    else:
        answer = f"You sold **{last.content['mean']:.0f} packets** a week on average."
    for word in answer.split(" "):
        yield f"{word} "
        await asyncio.sleep(0.05)


agent = Agent(FunctionModel(stream_function=model), output_type=[str, DeferredToolRequests])


@agent.tool_plain
async def price_of(tea: str) -> float:
    """Return the price of a packet in euros."""
    await asyncio.sleep(0.1)
    if tea not in PRICES:
        raise ValueError(f"no price of {tea}")
    return PRICES[tea]


async def run(request):
    """Answer one request of the protocol."""
    return await AGUIAdapter.dispatch_request(request, agent=agent, include_usage=True)


app = Starlette(routes=[Route("/", run, methods=["POST"])])

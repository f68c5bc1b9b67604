"""A server of OpenAI's Responses API: MLflow's agent server before a script, without a key."""

import asyncio
import json
import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow
from mlflow.genai.agent_server import AgentServer, stream
from mlflow.types import responses as r

PRICES = {"green tea": 4.20, "black tea": 3.60}

mlflow.tracing.disable()


def done(item):
    """Return the event that ends an item."""
    return r.ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


async def say(text):
    """Yield a text word by word."""
    for word in text.split(" "):
        yield r.ResponsesAgentStreamEvent(**r.create_text_delta(f"{word} ", "message-1"))
        await asyncio.sleep(0.05)
    yield done(r.create_text_output_item(f"{text} ", "message-1"))


@stream()
async def answer(request):
    """Answer one request, whose input is the whole conversation."""
    await asyncio.sleep(0.1)
    last = request.input[-1]
    if last.type == "function_call_output":
        mean = json.loads(last.output)["mean"]
        text = f"You sold **{mean:.0f} packets** a week on average."
    elif request.tools:
        call = ("item-2", "call-2", request.tools[0].name, '{"column": "packets"}')
        yield done(r.create_function_call_item(*call))
        return
    else:
        tea = next((tea for tea in PRICES if tea in str(last.content).lower()), "oolong")
        call = ("item-1", "call-1", "price_of", json.dumps({"tea": tea}))
        yield done(r.create_function_call_item(*call))
        await asyncio.sleep(0.1)
        if tea not in PRICES:
            raise ValueError(f"no price of {tea}")
        yield done(r.create_function_call_output_item("call-1", str(PRICES[tea])))
        text = f"A packet costs **{PRICES[tea]:.2f} €**."
    async for event in say(text):
        yield event


app = AgentServer("ResponsesAgent").app

"""Real servers of the two APIs: MLflow's agent server, and LiteLLM's proxy before our provider."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bootstrap

from tests.patience import looks
from tests.platforms.served import running

MLFLOW: Final = bootstrap.VENDOR_ENVIRONMENTS / "mlflow" / "bin" / "python"
LITELLM: Final = bootstrap.VENDOR_ENVIRONMENTS / "litellm" / "bin" / "litellm"

AGENT: Final = """
import asyncio
from pathlib import Path

import mlflow
from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types import responses as r

mlflow.tracing.disable()


def prompt_of(request):
    last = request.input[-1]
    if last.type == "function_call_output":
        return f"the sum is {last.output}"
    content = last.content
    if isinstance(content, str):
        return content
    return " ".join(part["type"] if isinstance(part, dict) else part.text for part in content)


def done(item):
    return r.ResponsesAgentStreamEvent(type="response.output_item.done", item=item)


@invoke()
async def answer(request):
    text = f"You said: {prompt_of(request)}"
    return r.ResponsesAgentResponse(output=[r.create_text_output_item(text, "m1")])


@stream()
async def answer_stream(request):
    prompt = prompt_of(request)
    if prompt == "use a tool":
        yield done(r.create_reasoning_item(id="r1", reasoning_text="I add them."))
        call = r.create_function_call_item("f1", "c1", "add", '{"a": 1, "b": 2}')
        yield done(call)
        yield done(r.create_function_call_output_item("c1", "3"))
        yield done(r.create_text_output_item("It is 3.", "m1"))
        return
    if prompt == "call mine":
        assert request.tools[0].model_dump()["parameters"]["required"] == ["a", "b"]
        yield done(r.create_text_output_item("I add. ", "m0"))
        name = request.tools[0].name
        yield done(r.create_function_call_item("f1", "c1", name, '{"a": 1, "b": 2}'))
        return
    if prompt == "count":
        roles = [message.role for message in request.input]
        yield done(r.create_text_output_item(" ".join(roles), "m1"))
        return
    words = ["You ", "said: ", prompt]
    for word in words:
        yield r.ResponsesAgentStreamEvent(**r.create_text_delta(word, "m1"))
    if prompt == "break":
        raise ValueError("the agent broke")
    if prompt == "go on":
        try:
            for number in range(1000):
                yield r.ResponsesAgentStreamEvent(**r.create_text_delta(f" {number}", "m1"))
                await asyncio.sleep(0.05)
        finally:
            Path("ended.txt").write_text("ended")
    yield done(r.create_text_output_item("".join(words), "m1"))


app = AgentServer("ResponsesAgent").app
"""

PROVIDER: Final = """
import asyncio
from pathlib import Path

import litellm
from litellm import CustomLLM


def chunk(text="", tool=None, reason="", usage=None):
    return {
        "text": text,
        "tool_use": tool,
        "is_finished": bool(reason),
        "finish_reason": reason,
        "usage": usage,
        "index": 0,
    }


def tool(call_id, name, arguments):
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function, "index": 0}


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


class Provider(CustomLLM):
    async def acompletion(self, model, messages, **more):
        text = f"You said: {messages[-1]['content']}"
        return litellm.completion(model="gpt-4", messages=messages, mock_response=text)

    async def astreaming(self, model, messages, **more):
        prompt = messages[-1]["content"]
        if prompt == "too often":
            raise litellm.RateLimitError("slow down", llm_provider="mine", model=model)
        if messages[-1]["role"] == "tool":
            call = messages[-2]["tool_calls"][0]["function"]
            prompt = f"{call['name']} gave {prompt}"
        if prompt == "call mine":
            name = more["optional_params"]["tools"][0]["function"]["name"]
            yield chunk(tool=tool("c1", name, '{"a": 1, "b": 2}'))
            yield chunk(reason="tool_calls", usage=USAGE)
            return
        if prompt == "count":
            prompt = " ".join(message["role"] for message in messages)
        for word in ["You ", "said: ", prompt]:
            yield chunk(word)
        if prompt == "break":
            raise ValueError("the model broke")
        if prompt == "go on":
            try:
                for number in range(1000):
                    yield chunk(f" {number}")
                    await asyncio.sleep(0.05)
            finally:
                Path("ended.txt").write_text("ended")
        if prompt == "use a tool":
            yield chunk(tool=tool("c1", "add", '{"a": 1,'))
            yield chunk(tool=tool(None, None, ' "b": 2}'))
        reasons = {"use a tool": "tool_calls", "at length": "length"}
        yield chunk(reason=reasons.get(prompt, "stop"), usage=USAGE)


provider = Provider()
"""

CONFIGURATION: Final = """
model_list:
  - model_name: helper
    litellm_params: {model: mine/helper}
litellm_settings:
  num_retries: 0
  custom_provider_map:
    - {provider: mine, custom_handler: provider.provider}
"""


@dataclass(frozen=True)
class Served:
    """A running server: its address, its key if it has one, and the folder of its agent."""

    url: str
    folder: Path
    key: str | None = None

    def wait_until_ended(self) -> None:
        """Wait until the endless answer was closed."""
        ended = self.folder / "ended.txt"
        for _ in looks():
            if ended.exists():
                ended.unlink()
                return
            time.sleep(0.05)
        raise AssertionError("the server goes on with a stream that was closed")


@contextmanager
def served_mlflow(folder: Path) -> Generator[Served, None, None]:
    """Serve an agent by MLflow's agent server, until it is left."""
    (folder / "agent.py").write_text(AGENT)
    with running(
        folder, [MLFLOW, "-m", "uvicorn", "agent:app", "--port", "{port}"], "/health"
    ) as url:
        yield Served(url, folder)


@contextmanager
def served_litellm(folder: Path) -> Generator[Served, None, None]:
    """Serve a provider by LiteLLM's proxy, until it is left."""
    (folder / "provider.py").write_text(PROVIDER)
    (folder / "config.yaml").write_text(CONFIGURATION)
    key = f"sk-{secrets.token_hex(32)}"
    # Without the second one it fetches prices from the internet.
    more = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [LITELLM, "--host", "127.0.0.1", "--config", "config.yaml", "--port", "{port}"]
    with running(folder, command, "/health/liveliness", more) as url:
        yield Served(f"{url}/v1", folder, key)

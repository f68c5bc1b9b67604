"""A real server of AG-UI: agents of Pydantic AI behind its adapter."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bootstrap

from tests.patience import looks
from tests.platforms.served import running

PYTHON: Final = bootstrap.VENDOR_ENVIRONMENTS / "fasta2a" / "bin" / "python"

AGENT: Final = """
import asyncio
from pathlib import Path

from ag_ui.core import CustomEvent, StateSnapshotEvent
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, RunContext, ToolReturn
from pydantic_ai.messages import BinaryContent, ModelRequest, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.ui import StateDeps
from pydantic_ai.ui.ag_ui import AGUIAdapter
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

CALLS = {
    "use a tool": ("add", '{"a": 1,', ' "b": 2}'),
    "ask me": ("delete", '{"path":', ' "a.txt"}'),
    "ask me twice": ("delete", '{"path":', ' "b.txt"}'),
    "use my tool": ("open_page", '{"number":', ' 7}'),
    "publish": ("publish", "{}"),
    "use a broken tool": ("broken", "{}"),
    "pour": ("pour", "{}"),
}


def roles(messages):
    for message in messages:
        for part in message.parts:
            is_request = isinstance(message, ModelRequest)
            text = part.content if isinstance(part.content, str) else "parts"
            yield f"{'user' if is_request else 'assistant'}={text}"


def kinds(content):
    for part in [content] if isinstance(content, str) else content:
        if isinstance(part, BinaryContent):
            yield f"{part.media_type}:{len(part.data)}"
        else:
            yield part if isinstance(part, str) else f"{type(part).__name__}:{part.url}"


async def answer(messages, info):
    last = messages[-1].parts[-1]
    if isinstance(last, ToolReturnPart):
        returned = [part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        yield f"It is {', '.join(map(str, returned))}."
        return
    assert isinstance(last, UserPromptPart)
    prompt = last.content if isinstance(last.content, str) else " ".join(kinds(last.content))
    if prompt in CALLS:
        name, *fragments = CALLS[prompt]
        if name == "add":
            yield "I add them."
        if prompt == "ask me twice":
            yield "Two files."
        yield {1: DeltaToolCall(name=name, json_args=fragments[0], tool_call_id="c1")}
        for fragment in fragments[1:]:
            yield {1: DeltaToolCall(json_args=fragment)}
        if prompt == "ask me twice":
            yield {2: DeltaToolCall(name=name, json_args='{"path": "c.txt"}', tool_call_id="c2")}
        return
    if prompt == "think":
        yield {0: DeltaThinkingPart(content="Hm, ")}
        yield {0: DeltaThinkingPart(content="tea.")}
        yield "Tea."
        return
    if prompt == "count":
        yield "|".join(roles(messages))
        return
    for word in ["You ", "said: ", prompt]:
        yield word
    if prompt == "break":
        raise ValueError("the model broke")
    if prompt.startswith("go on"):
        try:
            for number in range(1000):
                yield f" {number}"
                await asyncio.sleep(0.05)
        finally:
            Path(f"{prompt}.txt").write_text("ended")


helper = Agent(FunctionModel(stream_function=answer), output_type=[str, DeferredToolRequests])
tester = Agent(TestModel(custom_output_text="Tested."))


@helper.tool_plain
@tester.tool_plain
def add(a: int, b: int) -> int:
    return a + b


@helper.tool_plain(requires_approval=True)
def delete(path: str) -> str:
    return f"{path} is deleted"


@helper.tool_plain
def broken() -> str:
    raise ValueError("the tool broke")


@helper.tool_plain
def publish() -> ToolReturn:
    state = StateSnapshotEvent(snapshot={"step": 1})
    return ToolReturn("published", metadata=[state, CustomEvent(name="note", value=2)])


class Cups(BaseModel):
    cups: int = 0


keeper = Agent(FunctionModel(stream_function=answer), deps_type=StateDeps[Cups])


@keeper.tool
def pour(context: RunContext[StateDeps[Cups]]) -> ToolReturn:
    state = context.deps.state
    state.cups += 1
    return ToolReturn(str(state.cups), metadata=[StateSnapshotEvent(snapshot=state.model_dump())])


async def kept(request):
    return await AGUIAdapter.dispatch_request(request, agent=keeper, deps=StateDeps(Cups()))


async def helped(request):
    return await AGUIAdapter.dispatch_request(request, agent=helper, include_usage=True)


async def tested(request):
    return await AGUIAdapter.dispatch_request(request, agent=tester)


async def early(request):
    return await AGUIAdapter.dispatch_request(request, agent=helper, ag_ui_version="0.1.10")


async def health(request):
    return PlainTextResponse("up")


app = Starlette(
    routes=[
        Route("/", helped, methods=["POST"]),
        Route("/agents/tester", tested, methods=["POST"]),
        Route("/agents/keeper", kept, methods=["POST"]),
        Route("/early", early, methods=["POST"]),
        Route("/health", health),
    ]
)
"""


@dataclass(frozen=True)
class Served:
    """A running server: its address, and the folder of its agent."""

    url: str
    folder: Path

    def wait_until_ended(self, prompt: str) -> None:
        """Wait until the endless answer to this prompt was closed."""
        for _ in looks():
            if (self.folder / f"{prompt}.txt").exists():
                return
            time.sleep(0.05)
        raise AssertionError("the server goes on with a stream that was closed")


@contextmanager
def served_agents(folder: Path) -> Generator[Served, None, None]:
    """Serve the agents until it is left."""
    (folder / "agent.py").write_text(AGENT)
    command = [PYTHON, "-m", "uvicorn", "agent:app", "--host", "127.0.0.1", "--port", "{port}"]
    with running(folder, command, "/health") as url:
        yield Served(url, folder)

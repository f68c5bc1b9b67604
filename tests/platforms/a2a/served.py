"""Real servers of A2A: the reference server of its SDK, and FastA2A before Pydantic AI."""

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

REFERENCE: Final = """
import asyncio
import os
from pathlib import Path

from a2a.helpers import proto_helpers as h
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as t
from starlette.applications import Starlette

TURNS = {}


class Executor(AgentExecutor):
    async def execute(self, context, queue):
        prompt = context.get_user_input()
        if prompt == "message":
            await queue.enqueue_event(h.new_text_message("Just this."))
            return
        if context.current_task is None:
            await queue.enqueue_event(h.new_task_from_user_message(context.message))
        updater = TaskUpdater(queue, context.task_id, context.context_id)
        say = lambda text: updater.new_agent_message([h.new_text_part(text)])
        add = lambda *parts, **more: updater.add_artifact([*parts], **more)
        await updater.start_work(say("Thinking."))
        turns = TURNS.setdefault(context.context_id, [])
        turns.append(prompt)
        if prompt == "break":
            raise ValueError("the agent broke")
        if prompt == "fail":
            return await updater.failed(say("No tea left."))
        if prompt == "reject":
            return await updater.reject(say("Not my work."))
        if prompt == "question":
            return await updater.requires_input(say("Which tea?"))
        if prompt == "sign in":
            return await updater.requires_auth(say("Sign in at the shop."))
        if prompt == "files":
            await add(h.new_text_part("See:"), artifact_id="a1")
            await add(h.new_data_part({"n": 1}), artifact_id="a2")
            url = t.Part(url="https://example.com/tea.png", filename="tea.png")
            await add(url, t.Part(raw=b"PNG", filename="a.png"), artifact_id="a3")
            return await updater.complete(say("Done."))
        if prompt == "see":
            kinds = [part.WhichOneof("content") for part in context.message.parts]
            await add(h.new_text_part(" ".join(kinds)))
            return await updater.complete()
        words = ["You ", "said: ", "|".join(turns)]
        for number, word in enumerate(words):
            await add(h.new_text_part(word), artifact_id="a1", append=number > 0)
        if prompt.startswith("go on"):
            try:
                for number in range(30 if "a bit" in prompt else 1000):
                    await add(h.new_text_part(f" {number}"), artifact_id="a1", append=True)
                    await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                Path(f"{prompt}.txt").write_text("ended")
                raise
        await updater.complete()

    async def cancel(self, context, queue):
        updater = TaskUpdater(queue, context.task_id, context.context_id)
        Path("cancelled.txt").write_text(context.task_id)
        await updater.cancel()


def app_of(streaming, version):
    url = f"http://127.0.0.1:{os.environ['PORT']}/{version}/rpc"
    card = t.AgentCard(
        name="helper",
        description="Helps.",
        version="1",
        capabilities=t.AgentCapabilities(streaming=streaming),
        supported_interfaces=[
            t.AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version)
        ],
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
    )
    handler = DefaultRequestHandler(
        agent_executor=Executor(), task_store=InMemoryTaskStore(), agent_card=card
    )
    routes = create_jsonrpc_routes(handler, "/rpc", enable_v0_3_compat=version == "0.3")
    return Starlette(routes=[*create_agent_card_routes(card), *routes])


from starlette.routing import Mount

app = Starlette(
    routes=[
        Mount("/1.0", app_of(True, "1.0")),
        Mount("/0.3", app_of(True, "0.3")),
        Mount("/blocking", app_of(False, "1.0")),
    ]
)
"""

FAST: Final = """
import asyncio

from fasta2a.pydantic_ai import agent_to_a2a
from pydantic_ai import Agent
from pydantic_ai.models.function import FunctionModel


async def answer(messages, info):
    content = messages[-1].parts[-1].content
    if content == "break":
        raise ValueError("the model broke")
    yield "You "
    yield f"said: {content} "
    if content == "go on":
        for number in range(20):
            yield f"{number} "
            await asyncio.sleep(0.05)
    yield f"({len(messages)})"


app = agent_to_a2a(Agent(FunctionModel(stream_function=answer)), name="fast")
"""


@dataclass(frozen=True)
class Served:
    """A running server: its address, and the folder of its agent."""

    url: str
    folder: Path

    def wait_for(self, name: str) -> str:
        """Wait until the agent wrote a file; return its text."""
        for _ in looks():
            if (self.folder / name).exists() and (text := (self.folder / name).read_text()):
                return text
            time.sleep(0.05)
        raise AssertionError(f"the server never wrote {name}")


@contextmanager
def served(folder: Path, vendor: str) -> Generator[Served, None, None]:
    """Serve the agents of "a2a" or "fasta2a", until it is left."""
    python = bootstrap.VENDOR_ENVIRONMENTS / vendor / "bin" / "python"
    (folder / "agent.py").write_text({"a2a": REFERENCE, "fasta2a": FAST}[vendor])
    health = {"a2a": "/1.0/.well-known/agent-card.json", "fasta2a": "/docs"}[vendor]
    command = [python, "-m", "uvicorn", "agent:app", "--host", "127.0.0.1", "--port", "{port}"]
    with running(folder, command, health, {"PORT": "{port}"}) as url:
        yield Served(url, folder)

"""An A2A agent: the server of the protocol's SDK before a script, without a key."""

import asyncio
import os

from a2a.helpers import proto_helpers as h
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface
from starlette.applications import Starlette

PRICES = {"green tea": 4.20, "black tea": 3.60}


class TeaShop(AgentExecutor):
    """Answers questions for the price of a tea."""

    async def execute(self, context, event_queue):
        """Work on a message, which starts a task or continues one."""
        if context.current_task is None:
            task = h.new_task_from_user_message(context.message)
            await event_queue.enqueue_event(task)
        task = TaskUpdater(event_queue, context.task_id, context.context_id)
        await task.start_work(task.new_agent_message([h.new_text_part("Looking up the price.")]))
        await asyncio.sleep(0.1)
        question = context.get_user_input().lower()
        tea = next((tea for tea in PRICES if tea in question), None)
        if tea is None and "oolong" in question:
            message = task.new_agent_message([h.new_text_part("There is no price of oolong.")])
            await task.failed(message)
        elif tea is None:
            message = task.new_agent_message([h.new_text_part("Green tea or black tea?")])
            await task.requires_input(message)
        else:
            words = f"A packet costs **{PRICES[tea]:.2f} €**.".split(" ")
            for number, word in enumerate(words):
                part = h.new_text_part(f"{word} ")
                await task.add_artifact([part], artifact_id="answer", append=number > 0)
                await asyncio.sleep(0.05)
            await task.complete()

    async def cancel(self, context, event_queue):
        """Cancel a task."""
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


card = AgentCard(
    name="tea-shop",
    description="Knows the prices of teas.",
    version="1",
    capabilities=AgentCapabilities(streaming=True),
    supported_interfaces=[
        AgentInterface(
            url=f"http://127.0.0.1:{os.environ['PORT']}/",
            protocol_binding="JSONRPC",
            protocol_version="1.0",
        )
    ],
    default_input_modes=["text/plain"],
    default_output_modes=["text/plain"],
)
handler = DefaultRequestHandler(
    agent_executor=TeaShop(), task_store=InMemoryTaskStore(), agent_card=card
)
app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/")])

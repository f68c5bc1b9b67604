"""LangGraph's development server with graphs over a scripted model."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import bootstrap

from tests.platforms.served import running

GRAPHS: Final = """
import asyncio
import operator
from typing import Annotated, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Send, interrupt

USAGE = {
    "input_tokens": 5,
    "output_tokens": 2,
    "total_tokens": 7,
    "input_token_details": {"cache_read": 3},
    "output_token_details": {"reasoning": 1},
}
CALL = [("add", "", "c1"), (None, '{"a": 1,', None), (None, ' "b": 2}', None)]


def call(name, args, key):
    chunk = {"name": name, "args": args, "id": key, "index": 0, "type": "tool_call_chunk"}
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


class Model(BaseChatModel):
    @property
    def _llm_type(self):
        return "scripted"

    def _get_ls_params(self, stop=None, **more):
        return {"ls_model_name": "scripted-1", "ls_provider": "none", "ls_model_type": "chat"}

    def _generate(self, messages, stop=None, run_manager=None, **more):
        raise NotImplementedError("it streams")

    async def _astream(self, messages, stop=None, run_manager=None, **more):
        for message in self.script(messages):
            if message == "pause":
                await asyncio.sleep(0.05)
            else:
                if isinstance(message, str):
                    message = AIMessageChunk(content=message)
                yield ChatGenerationChunk(message=message)
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=USAGE))

    def script(self, messages):
        last = messages[-1]
        if last.type == "tool":
            return ["It is ", f"{last.content}."]
        prompt = last.content
        if isinstance(prompt, list):
            prompt = " ".join(block["type"] for block in prompt)
        turn = sum(message.type == "human" for message in messages)
        if "tool" in prompt.split():
            return ["Let me add. ", *(call(*each) for each in CALL)]
        if prompt == "think":
            thought = [{"type": "thinking", "thinking": "Hm", "index": 0}]
            answer = [{"type": "text", "text": "So.", "index": 1}]
            return [AIMessageChunk(content=thought), AIMessageChunk(content=answer)]
        if prompt == "break":
            return self.broken()
        if prompt.startswith("go on"):
            words = [word for n in range(400) for word in (f"{n} ", "pause")]
            return words[: 60 if "a bit" in prompt else None]
        return ["You ", "said: ", "ha", "ha", "ha ", f"{prompt} ({turn})"]

    def broken(self):
        yield "Part."
        raise ValueError("the model broke")


async def model(state):
    return {"messages": [await Model().ainvoke(state["messages"])]}


async def tools(state):
    (call,) = state["messages"][-1].tool_calls
    fields = {"tool_call_id": call["id"], "name": "add"}
    result = ToolMessage(content=str(sum(call["args"].values())), **fields)
    if "deny" in state["messages"][0].content:
        result = ToolMessage(content="No.", status="error", **fields)
    return {"messages": [result]}


def graph(state, *nodes, **more):
    built = StateGraph(state)
    for before, node in zip((START, *(n.__name__ for n in nodes)), nodes):
        built.add_node(node.__name__, node)
        built.add_edge(before, node.__name__)
    return built.compile(**more)


looping = StateGraph(MessagesState)
looping.add_node("model", model)
looping.add_node("tools", tools)
looping.add_edge(START, "model")
looping.add_edge("tools", "model")
looping.add_conditional_edges(
    "model", lambda state: "tools" if state["messages"][-1].tool_calls else END
)
helper = looping.compile()

outer = StateGraph(MessagesState)
outer.add_node("inner", helper)
outer.add_edge(START, "inner")
outer = outer.compile()


nested = StateGraph(MessagesState)
nested.add_node("middle", outer)
nested.add_edge(START, "middle")
nested = nested.compile()

spread = StateGraph(MessagesState)
spread.add_node("inner", helper)
spread.add_conditional_edges(
    START, lambda state: [Send("inner", {"messages": [text]}) for text in ("one tool", "two")]
)
spread = spread.compile()


async def first(state):
    return {"messages": [AIMessage("First.")]}


async def ask(state):
    tea = interrupt({"question": "Tea?", "kinds": ["green", "black"]})
    schema = {"type": "object", "properties": {"fat": {"type": "number"}}, "required": ["fat"]}
    milk = interrupt({"question": "Milk?", "answer_schema": schema})
    return {"messages": [AIMessage(f"Tea: {tea}, milk: {milk}.")]}


async def act(state):
    request = {"name": "buy", "args": {"n": 2}, "description": "Buy tea."}
    config = {"action_name": "buy", "allowed_decisions": ["approve", "edit", "reject"]}
    answer = interrupt({"action_requests": [request], "review_configs": [config]})
    return {"messages": [AIMessage(str(answer))]}


async def left(state):
    return {"messages": [AIMessage(f"Left: {interrupt('left?')}.")]}


async def right(state):
    return {"messages": [AIMessage(f"Right: {interrupt('right?')}.")]}


class Fields(TypedDict):
    question: str
    answer: str
    log: Annotated[list, operator.add]


async def one(state):
    get_stream_writer()({"progress": 50})
    return {"log": ["one"]}


async def two(state):
    return {"answer": state["question"].upper(), "log": ["two"]}


async def plain(state, runtime=None):
    return {"messages": {"role": "assistant", "content": "Plain."}}


class Context(TypedDict):
    tone: str


async def toned(state, runtime):
    return {"messages": [AIMessage(f"Tone: {runtime.context.get('tone')}.")]}


asking = graph(MessagesState, first, ask)
within = StateGraph(MessagesState)
within.add_node("inner", asking)
within.add_edge(START, "inner")
within = within.compile()
acting = graph(MessagesState, act)
fields = graph(Fields, one, two)
plainly = graph(MessagesState, plain)
stopping = graph(MessagesState, first, model, interrupt_before=["model"])
both = StateGraph(MessagesState)
for node in (left, right):
    both.add_node(node.__name__, node)
    both.add_edge(START, node.__name__)
both = both.compile()


from langgraph.runtime import Runtime

toned.__annotations__["runtime"] = Runtime[Context]
toning = StateGraph(MessagesState, context_schema=Context)
toning.add_node("toned", toned)
toning.add_edge(START, "toned")
toning = toning.compile()


@entrypoint()
async def echo(text: str) -> str:
    return f"echo {text}"
"""

_NAMES: Final = (
    *("helper", "outer", "asking", "acting", "both", "stopping"),
    *("fields", "plainly", "toning", "echo", "nested", "spread", "within"),
)


@contextmanager
def served_graphs(folder: Path) -> Generator[str, None, None]:
    """Serve the graphs until it is left; yield the address."""
    python = bootstrap.VENDOR_ENVIRONMENTS / "langgraph" / "bin" / "langgraph"
    (folder / "graphs.py").write_text(GRAPHS)
    graphs = ", ".join(f'"{name}": "./graphs.py:{name}"' for name in _NAMES)
    (folder / "langgraph.json").write_text(f'{{"dependencies": ["."], "graphs": {{{graphs}}}}}')
    command = [python, "dev", "--no-browser", "--no-reload", "--n-jobs-per-worker", "10"]
    quiet = {"LANGSMITH_TRACING": "false", "LANGGRAPH_NO_VERSION_CHECK": "true"}
    where = ["--host", "127.0.0.1", "--port", "{port}"]
    with running(folder, [*command, *where], "/ok", quiet) as url:
        yield url

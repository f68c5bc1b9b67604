"""`Tool`: a Python function that a remote agent may call during a run."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import cached_property
from typing import Any, Final, cast

from agentnb._http.timeout import is_seconds
from agentnb._support.text import shortened
from agentnb.errors import RequestError
from agentnb.event.types import ToolCallFinished
from agentnb.platforms.base import ToolSpec
from agentnb.platforms.local.worker import Worker
from agentnb.render.visible import one_line

#: How many characters of a result are sent.
MAX_RESULT: Final = 200_000

_MAX_ERROR: Final = 2_000
_TIMEOUT: Final = 60.0


class Tool:
    """A function of this process that a remote agent may call; made by `tool`.

    Calling it calls the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        trusted: bool = False,
        timeout: float = _TIMEOUT,
    ) -> None:
        name = name or str(getattr(function, "__name__", ""))
        if not name.isidentifier():
            raise RequestError(
                f"A tool needs a name, and {name!r} is none.",
                hint="Give one: agentnb.tool(function, name='describe').",
            )
        if not is_seconds(timeout):
            raise RequestError(f"A timeout is a number of seconds above 0, not {timeout!r}.")
        self.name = name
        self.description = inspect.getdoc(function) if description is None else description
        self.trusted = trusted
        self.timeout = timeout
        self.function = function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @cached_property
    def spec(self) -> ToolSpec:
        """The name, the description and the JSON schema of the arguments.

        Raises:
            RequestError: the function takes arguments that cannot be described.
        """
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            # pydantic describes functions, too, which the type of the argument does not say.
            adapter = TypeAdapter(cast("Any", self.function))
            schema: dict[str, Any] = adapter.json_schema()
        except (PydanticUserError, TypeError, NameError) as error:
            reason = one_line(str(error).partition("\n")[0], 200)
            raise RequestError(f"The arguments of the tool {self.name}: {reason}") from error
        if schema.get("type") != "object":
            raise RequestError(
                f"The tool {self.name} takes arguments by position only.",
                hint="Agents give arguments by name.",
            )
        return ToolSpec(name=self.name, description=self.description or "", parameters=schema)

    async def call(self, call_id: str, arguments: str) -> ToolCallFinished:
        """Call the function with JSON arguments; return the end of the call, also if it fails.

        A function that is not async runs in a thread of its own, which continues after a timeout.
        """
        limit = asyncio.timeout(self.timeout)
        try:
            async with limit:
                result = await self._result(_named(arguments))
        except Exception as raised:
            error = shortened(_description(raised), _MAX_ERROR)
            if isinstance(raised, TimeoutError) and limit.expired():
                error = f"The tool took longer than {self.timeout:g} s."
        else:
            return _finished(call_id, result)
        return ToolCallFinished(call_id=call_id, error=error)

    async def _result(self, arguments: Mapping[str, Any]) -> Any:
        from pydantic import validate_call

        function = validate_call(self.function)
        if inspect.iscoroutinefunction(self.function):
            return await function(**arguments)
        # In a tuple, for a generator is a result, too.
        worker = Worker(lambda: (function(**arguments),))
        async with aclosing(worker.batches()) as batches:
            async for _ in batches:
                pass
        (result,) = worker.outcome
        return result


def tool(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    trusted: bool = False,
    timeout: float = _TIMEOUT,
) -> Tool:
    """Return ``function`` as a tool of remote agents, for ``agent.run(..., tools=[...])``.

    Its type hints become the JSON schema of the arguments, and its docstring the ``description``.
    Each call waits for a decision (`Run.approve`, `Run.deny`) unless the tool is ``trusted``.  A
    call that takes longer than ``timeout`` seconds fails; a function that is not async then
    continues in its thread.  An async one shares agentnb's event loop and must not block it.

    Raises:
        RequestError: the function has no name, or ``timeout`` is no number of seconds.
    """
    return Tool(function, name=name, description=description, trusted=trusted, timeout=timeout)


def as_tools(given: Sequence[Any]) -> tuple[list[Tool], list[Any]]:
    """Return the functions among ``given`` as tools, and the rest, which is for the platform.

    Raises:
        RequestError: two tools have the same name, or one cannot be described.
    """
    if callable(given) or isinstance(given, Mapping | str):
        given = [given]
    tools = [
        each if isinstance(each, Tool) else Tool(cast("Callable[..., Any]", each))
        for each in given
        if callable(each)
    ]
    names = [each.spec.name for each in tools]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise RequestError(f"Two tools have the name {repeated}.")
    return tools, [each for each in given if not callable(each)]


def _named(arguments: str) -> dict[str, Any]:
    named: Any = json.loads(arguments) if arguments.strip() else {}
    if not isinstance(named, dict):
        raise ValueError("the arguments are no JSON object")
    return cast("dict[str, Any]", named)


def _description(error: Exception) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)


def _finished(call_id: str, result: Any) -> ToolCallFinished:
    if not isinstance(result, str):
        try:
            made = ToolCallFinished(call_id=call_id, result="null" if result is None else result)
            result = made.result or ""
        except (TypeError, ValueError):
            result = str(result)
    return ToolCallFinished(call_id=call_id, result=shortened(result, MAX_RESULT))

"""The platform ``local``: Python functions as agents.

`iterate_function` runs any function and yields events; the embedded sandbox and
`FunctionPlatform`, which serves ``agentnb.agent(my_function)``, are both built on it.
"""

from agentnb.platforms.base import Message
from agentnb.platforms.local.function import AgentFunction, FunctionContext, iterate_function
from agentnb.platforms.local.platform import FunctionPlatform

__all__ = [
    "AgentFunction",
    "FunctionContext",
    "FunctionPlatform",
    "Message",
    "iterate_function",
]

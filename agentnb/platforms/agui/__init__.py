"""AG-UI: an agent behind one address that takes ``RunAgentInput`` and streams typed events.

The address (``base_url``) has no default.  A key is optional and is sent as a bearer token.  Where
the server has a single agent, its id is any name: it is sent only where the option ``path`` has
``{agent}``.

Options: ``path`` is the part of the address after ``base_url`` (none); ``protocol_version`` is the
version that is declared (1.0), "" for none, where an early server refuses it; ``max_event_bytes``
limits one event (16 MiB).

Parameters of a run, in snake_case or as the protocol spells them: ``state`` (any JSON),
``context`` (a list of objects with ``description`` and ``value``), ``forwarded_props`` (any JSON),
and ``tools``, which the agent may call and the application runs: objects with ``name``,
``description`` and ``parameters``, a JSON schema; or Python functions, see `agentnb.tool`.

agentnb keeps the conversations, and sends the whole one with each request: prompts and answers,
without tool calls.  No call cancels a run: closing the connection stops it.  A run cannot be
attached to or resumed.  One that ends with an interrupt is ``paused``: when all its interrupts are
decided, with `Run.approve` and `Run.deny`, a further request continues it.  A ``payload`` is the
answer in the server's form, and for an approval of a call other arguments or the reason of a
denial.  Only the kernel that started a run can decide it.  A run that ends with a call of an
application's tool that is no Python function is completed, and that call has no result and is in
``pending_tool_call_ids`` of `RunFinished.details`.
"""

from agentnb.platforms.agui.client import AGUIPlatform

__all__ = ["AGUIPlatform"]

"""LangGraph: graphs behind the LangGraph Platform API, as ``langgraph dev`` serves it, too.

The address is ``base_url`` or ``LANGGRAPH_BASE_URL``.  The key (``LANGGRAPH_API_KEY``) is sent as
the header ``x-api-key``; servers without accounts need none.  An agent is the name of a graph, or
the id of an assistant.  A session is a thread, and its id is a UUID.

Options: ``prompt_field`` is the field of the graph's state that takes the prompt: ``"messages"``
(the default) takes a message, any other field its text, and ``""`` makes the text the whole input.
``answer_field`` is the field that is the answer of a graph that streams no messages (the whole
state).  ``approve_with`` and ``deny_with`` are the values that decisions on interrupts send (true
and false); interrupts of LangChain's ``HumanInTheLoopMiddleware`` and of ``HumanInterrupt`` are
answered in their own format.  ``answer_schema`` is the JSON schema of the answers to interrupts
whose value has none under ``answer_schema``, ``response_schema`` or ``schema``.
``max_event_bytes`` limits one event (16 MiB).

Parameters of a run: ``input`` (further fields of the state), ``context``, ``config`` (such as
``{"recursion_limit": 50}``), ``metadata``, ``stream_subgraphs``, ``stream_mode`` (further modes,
whose events are kept as `RawEvent`), ``interrupt_before``, ``interrupt_after``, ``checkpoint_id``,
``durability`` and ``multitask_strategy``.

Text is streamed as the graph's models write it, in subgraphs only with ``stream_subgraphs``, each
of which is then a step of the run; fields of the state that are no messages are kept as `RawEvent`.
A graph that interrupts itself, or stops at a breakpoint, waits for a decision: `Run.approve` and
`Run.deny` start a further run of the thread, which continues the first one here.  A ``payload`` is
what the interrupt returns there; for the call of a tool it is other arguments, or the reason of a
denial.  A breakpoint can only be approved.  A stream is resumed, and a run attached to, from the
server's own record of its events.
"""

from agentnb.platforms.langgraph.client import LangGraphPlatform

__all__ = ["LangGraphPlatform"]

"""A2A: one agent behind the Agent2Agent protocol 1.0 or 0.3, by JSON-RPC.

The address is ``base_url`` or ``A2A_BASE_URL``; the agent's card is below it, at
``/.well-known/agent-card.json``.  The card gives the path of the JSON-RPC endpoint, where that is
on the same host, the version of the protocol, and whether the agent streams; without a card the
address itself is the endpoint.  The key (``A2A_API_KEY``) is sent as a bearer token, to this host
only; agents without accounts need none.  An address has a single agent, so that any name stands for
it.

Options: ``path`` is the path of the endpoint, relative to the address (from the card);
``protocol_version`` is ``"1.0"`` or ``"0.3"`` (from the card, else whichever the agent answers);
``poll_seconds`` is the interval at which a task is polled that cannot be subscribed to (1);
``max_event_bytes`` limits one event (16 MiB).

Parameters of a run: ``task_id`` (the task that the message continues), ``reference_task_ids``,
``data`` (a JSON object that is sent as a further part), ``metadata``, ``accepted_output_modes`` and
``history_length``; in snake_case or as the protocol spells them.

A run is a task and a session is a context, which the agent keeps.  Artifacts are the answer, and
the messages of a task in progress are reasoning.  An agent that requires input ends the run with
its question; the next prompt of the session in this process continues that task.  A stream can be
resumed and a task attached to: text that the agent no longer has ends the run as truncated.
"""

from agentnb.platforms.a2a.client import A2APlatform

__all__ = ["A2APlatform"]

"""OpenAI-compatible servers: agents and models behind Responses or Chat Completions.

The address is ``https://api.openai.com/v1`` unless ``base_url`` or ``OPENAI_BASE_URL`` sets
another, such as that of vLLM, Ollama, llama.cpp, LM Studio, LiteLLM or MLflow's agent server; with
``/v1`` where the server has it.  The key (``OPENAI_API_KEY``) is sent as a bearer token; servers
without accounts need none.  The agent's id is the name of a model, or any name where a server has a
single agent.

Options: ``api`` is ``"responses"``, ``"chat"`` or ``"auto"``, which tries Responses first and takes
Chat Completions where the server has no such path (404, 405, 501); ``stream_usage`` is whether a
stream of Chat Completions is to report its usage, by ``stream_options`` (true); ``max_event_bytes``
limits one event (16 MiB).

Parameters of a run: ``instructions``, ``max_tokens``, ``temperature``, ``top_p``,
``reasoning_effort``, ``tools`` and ``tool_choice`` (in the form of the API in use),
``parallel_tool_calls``, ``metadata``, ``user``, ``strict`` (of the answer's JSON schema), and
``extra_body`` for a server's own ones, which are added to the body as they are.

agentnb keeps the conversations, and sends the whole one with each request.  No call cancels a run:
closing the connection stops it.  A run cannot be attached to or resumed.
"""

from agentnb.platforms.openai.client import OpenAIPlatform

__all__ = ["OpenAIPlatform"]

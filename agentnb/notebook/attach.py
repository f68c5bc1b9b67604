"""``%agent attach``: attach to an active run, and display it as a cell does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from agentnb.agents import Agent
from agentnb.config import AgentName
from agentnb.errors import RequestError
from agentnb.notebook.options import CellOptions, parse_attach_words
from agentnb.run.run import Run
from agentnb.store.recent import recent_runs

if TYPE_CHECKING:
    from agentnb.notebook.runner import CellRunner


def attach(runner: CellRunner, words: Sequence[str]) -> None:
    """Attach to a run; block until it has ended, unless with ``--bg``.

    A run of this kernel is displayed without a second connection.  Agent and session are looked up
    in the history by default.

    Raises:
        RequestError: the run or its agent is missing or unknown.
        UnsupportedError: the platform cannot attach to runs.
        RunError: the run did not complete.
    """
    run_id, options = parse_attach_words(words)
    known = _run_here(run_id)
    if known is not None and known.transcript.status != "paused":
        chosen = Agent(known.client, known.agent, title=known.title)
        runner.follow(known, chosen, options)
        return
    chosen, session = _agent_and_session(runner, run_id, options, known)
    run = chosen.attach(run_id, session=session, timeout=options.timeout)
    runner.follow(run, chosen, options)


def _run_here(run_id: str) -> Run | None:
    """Return the newest run of this process with this id, the platform's or agentnb's own."""
    for run in reversed(recent_runs()):
        if isinstance(run, Run) and run_id in (run.id, run.local_id):
            return run
    return None


def _agent_and_session(
    runner: CellRunner, run_id: str, options: CellOptions, known: Run | None
) -> tuple[Agent, str | None]:
    if known is not None:
        agent = Agent(known.client, known.agent, title=known.title)
        return agent, options.session or known.session_id
    from agentnb.store.lookup import known_run

    placed = known_run(run_id)
    if options.agent is None and options.platform is None:
        if placed is None or placed.agent is None:
            raise RequestError(
                f"The history has no run '{run_id[:80]}'.",
                hint="Say whose it is: %agent attach RUN platform:agent.",
            )
        if placed.platform == "local":
            raise RequestError(
                f"The run {run_id} is one of a Python function in another process.",
                hint="agentnb.history.load(...) shows its result.",
            )
        options = replace(options, agent=str(AgentName(placed.platform, placed.agent)))
    elif options.agent is None:
        options = replace(options, agent=(placed and placed.agent) or "")
    agent = runner.agent(options)
    is_same = placed is not None and placed.platform == agent.platform.name
    session = placed.session_id if placed is not None and is_same else None
    return agent, options.session or session

"""What every platform has to do alike, as tests that a subclass runs for one of its agents."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Final

from agentnb.agents import Agent
from agentnb.errors import RequestError, UnsupportedError
from agentnb.event.transcript import fold
from agentnb.event.types import TextDelta
from agentnb.run.run import Run

# How long a run may take to show what is expected, in seconds.
_PATIENCE: Final = 30.0


class PlatformContract:
    """Tests of a platform, by an agent of it that answers any prompt with text.

    A subclass has a fixture ``agent``; its server may be a real one.  The tests make about ten
    runs.
    """

    #: A prompt that the agent answers with text.
    prompt = "Hello"
    #: One whose answer takes seconds, so that it can be stopped; "" skips that test.
    long_prompt = ""

    def test_an_answer(self, agent: Agent) -> None:
        """A run completes with text, and its events fold into the same transcript."""
        run = agent.run(self.prompt)
        assert run.status == "completed", run.error
        assert run.text
        assert run.error is None
        again = fold(run.events)
        assert (again.text, again.reasoning) == (run.transcript.text, run.transcript.reasoning)
        assert run.duration is not None
        assert "".join(e.text for e in run.events if isinstance(e, TextDelta)).strip()

    def test_nothing_is_malformed(self, agent: Agent) -> None:
        """No frame of a normal answer is reported as malformed."""
        problems = [getattr(event, "problem", None) for event in agent.run(self.prompt).events]
        assert not any(problems), problems

    def test_without_streaming(self, agent: Agent) -> None:
        """The whole answer in one piece is a completed run, too, where the platform has that."""
        if agent.platform.capabilities.invoke:
            run = agent.run(self.prompt, stream=False)
            assert run.status == "completed", run.error
            assert run.text

    def test_a_session_continues(self, agent: Agent) -> None:
        """A second run keeps the session of the first; a run without one begins another."""
        first = agent.run(self.prompt)
        if not agent.platform.capabilities.sessions:
            assert first.session_id is None
            return
        assert first.session_id
        second = agent.run(self.prompt, session=first)
        assert second.status == "completed", second.error
        assert second.session_id == first.session_id
        assert agent.run(self.prompt).session_id != first.session_id

    def test_runs_at_the_same_time(self, agent: Agent) -> None:
        """Several runs do not disturb one another."""

        async def gather() -> list[Run]:
            return await asyncio.gather(*(agent.arun(self.prompt) for _ in range(3)))

        runs = asyncio.run(gather())
        assert {run.status for run in runs} == {"completed"}
        assert len({run.id for run in runs}) == 3

    def test_cancelling(self, agent: Agent) -> None:
        """A cancelled run keeps the text that has arrived, and ends at once."""
        if not self.long_prompt:
            return
        run = agent.start(self.long_prompt)
        _wait_for(lambda: bool(run.text), run)
        run.cancel()
        run.wait(check=False)
        assert run.status == "cancelled"
        assert run.text

    def test_an_unknown_parameter_is_refused(self, agent: Agent) -> None:
        """A misspelt parameter is an error that names it; nothing is sent."""
        run = agent.run(self.prompt, check=False, no_such_parameter=1)
        assert isinstance(run.exception, RequestError), run.exception
        assert "no_such_parameter" in str(run.exception)

    def test_what_is_not_supported_is_refused(self, agent: Agent) -> None:
        """A call that the capabilities exclude is an `UnsupportedError`, and no empty result."""
        abilities = agent.platform.capabilities
        calls: dict[str, tuple[bool, Any]] = {
            "agents": (abilities.list_agents, agent.agents),
            "remote_runs": (abilities.list_runs, agent.remote_runs),
            "remote_status": (abilities.run_status, lambda: agent.remote_status(["unknown"])),
            "attach": (abilities.attach, lambda: agent.attach("unknown")),
        }
        for name, (supported, call) in calls.items():
            if supported:
                continue
            try:
                result = call()
            except UnsupportedError:
                continue
            raise AssertionError(f"{name} returned {result!r} instead of an UnsupportedError")

    def test_agents_are_listed(self, agent: Agent) -> None:
        """Every listed agent has an id."""
        if agent.platform.capabilities.list_agents:
            assert all(found.id for found in agent.agents())

    def test_no_key_is_repeated(self, agent: Agent) -> None:
        """A run can be exported as JSON, and nothing in it looks like its request's headers."""
        exported = json.dumps(agent.run(self.prompt).to_dict())
        assert "Bearer " not in exported


def _wait_for(condition: Any, run: Run) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert not run.done, f"the run ended as {run.status}: {run.error}"
        assert time.monotonic() < end, "no text arrived in time"
        time.sleep(0.01)

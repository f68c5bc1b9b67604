"""What a user writes to see a platform misbehave, through the real clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import agentnb
from agentnb.errors import ConfigError, RunError
from agentnb.sandbox import Sandbox
from tests.sandbox.rawclient import PLATFORMS

TOLD = '{"deltas": 40, "delay_ms": 5}'
WHOLE = "".join(f"{number:04d} " for number in range(40))


def carried(platform: str, script: str) -> dict[str, Any]:
    """Return the parameter that carries a script, as the documentation of the sandbox has it."""
    return {
        "seekr": {"metadata": {"fault": script}},
        "runtools": {"metadata": {"fault": script}},
        "runagent": {"parameters": {"fault": script}},
        "operativus": {"model": f"fault: {script}"},
    }[platform]


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def echo(sandbox: Sandbox, platform: str) -> agentnb.Agent:
    return agentnb.agent(
        f"{platform}:echo", base_url=sandbox.base_url(platform), api_key=sandbox.api_key
    )


def test_a_request_that_is_refused_is_made_again(echo: agentnb.Agent, platform: str) -> None:
    script = "status 503 retry_after=0.01 times=1; drop times=1"
    run = echo.run(TOLD, **carried(platform, script))
    assert (run.status, run.text) == ("completed", WHOLE)


def test_a_refusal_that_lasts_is_told(echo: agentnb.Agent, platform: str) -> None:
    with pytest.raises(RunError, match="set to answer 404"):
        echo.run(TOLD, **carried(platform, "status 404"))


def test_a_stream_that_breaks_off_is_taken_up(echo: agentnb.Agent, platform: str) -> None:
    run = echo.run(TOLD, **carried(platform, "drop after=900 times=1"))
    assert (run.status, run.text) == ("completed", WHOLE)


def test_a_clean_end_before_the_runs_own_is_taken_up(echo: agentnb.Agent, platform: str) -> None:
    run = echo.run(TOLD, **carried(platform, "end events=9 times=1"))
    assert (run.status, run.text) == ("completed", WHOLE)


def test_a_compressed_stream_is_read(echo: agentnb.Agent, platform: str) -> None:
    for coding in ("gzip", "deflate"):
        run = echo.run(TOLD, **carried(platform, f"compress {coding}"))
        assert (run.status, run.text) == ("completed", WHOLE)


def test_a_failure_in_mid_stream_keeps_what_came(echo: agentnb.Agent, platform: str) -> None:
    with pytest.raises(RunError, match="It broke") as caught:
        echo.run(TOLD, **carried(platform, "error events=9 message='It broke.'"))
    run = caught.value.run
    assert run.status == "failed"
    assert WHOLE.startswith(run.text)
    assert run.text


def test_a_wrong_script_is_told(echo: agentnb.Agent, platform: str) -> None:
    with pytest.raises(RunError, match=r"no fault 'dorp'\. Did you mean 'drop'"):
        echo.run(TOLD, **carried(platform, "dorp"))


@pytest.fixture
def embedded() -> Iterator[Sandbox]:
    running = agentnb.sandbox.start(pace=0)
    yield running
    agentnb.sandbox.faults(None)
    running.stop()


def test_the_embedded_sandbox_misbehaves_for_all(embedded: Sandbox, platform: str) -> None:
    echo = agentnb.agent(f"{platform}:echo", base_url="sandbox")
    with agentnb.sandbox.faults("drop after=700 times=1") as sandbox:
        assert sandbox is embedded
        run = echo.run(TOLD)
    assert (run.status, run.text) == ("completed", WHOLE)
    with pytest.raises(ConfigError, match="no fault 'dorp'"):
        agentnb.sandbox.faults("dorp")
    assert echo.run("all is well").text == "all is well"

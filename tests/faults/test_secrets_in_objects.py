"""A canary for a key, which a careless server repeats: in nothing that Python shows of a run."""

from __future__ import annotations

import copy
import dataclasses
import gc
import io
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.ultratb import VerboseTB
from pydantic import SecretStr

import agentnb
from agentnb._http.retry import Retries
from agentnb.config import config
from agentnb.store.recorder import flush, use
from tests.children import python
from tests.faults.echoing import CANARY, KINDS, echo
from tests.faults.rawserver import running

LOGGERS = ("", "agentnb", "httpx", "httpcore", "httpcore.http11", "asyncio", "sqlalchemy.engine")
WELL = ("said", "letters", "passages", "call", "unknown", "malformed", "named", "header", "paused")


@pytest.fixture(autouse=True, scope="module")
def address() -> Iterator[str]:
    """The careless server."""
    with running(echo) as server:
        yield server.url


@pytest.fixture(autouse=True)
def history(tmp_path: Path) -> Iterator[Path]:
    """A store of its own."""
    use(tmp_path / "store" / "runs.sqlite")
    yield tmp_path / "store"
    use(None)


@pytest.fixture(autouse=True)
def logged() -> Iterator[io.StringIO]:
    """All that any logger says, from DEBUG on, with the locals of no frame left out."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def agent_of(address: str, kind: str) -> agentnb.Agent:
    if kind == "named":
        # A client of its own: it has to know the ids by which it asks, whatever is in them.
        address = address.replace("127.0.0.1", "localhost")
    return agentnb.agent(f"operativus:{kind}", base_url=address, api_key=CANARY)


def asked(address: str, kind: str, *, stream: bool = True) -> agentnb.Run:
    once = Retries(requests=0, reconnects=0)
    return agent_of(address, kind).run("hello", check=False, stream=stream, retries=once)


def reach(*roots: Any) -> list[str]:
    """All texts that can be reached from objects of this package, without being asked for."""
    found: list[str] = []
    seen: dict[int, Any] = {}
    queue = list(roots)
    while queue:
        value = queue.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, bytes | bytearray):
            found.append(bytes(value).decode("latin-1"))
        elif isinstance(value, dict | list | tuple | set | frozenset):
            queue += gc.get_referents(value)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, SecretStr):
            found.append(repr(value))
        elif type(value).__module__.partition(".")[0] in ("agentnb", "httpx", "httpcore"):
            found += [repr(value), str(value)]
            queue.append(getattr(value, "__dict__", {}))
            for cls in type(value).__mro__:
                names = cls.__dict__.get("__slots__", ())
                queue += [getattr(value, name, None) for name in names]
        elif isinstance(value, BaseException):
            queue += [value.args, value.__dict__, value.__cause__, value.__context__]
    return found


def shown(run: agentnb.Run, folder: Path) -> dict[str, str]:
    """Everything that shows a run, by what it is."""
    exported = [run.export(folder / f"run{end}") for end in (".md", ".html", ".json")]
    return {
        "repr": repr(run),
        "str": str(run),
        "dir": repr([getattr(run, name) for name in dir(run) if not name.startswith("_")]),
        "events": repr(run.events),
        "text": f"{run.text}{run.reasoning}{run.error}{run.followups}{run.tool_calls}",
        "json": json.dumps(run.to_dict(), default=str),
        "dataclasses": repr([dataclasses.asdict(event) for event in run.events]),
        "bundle": repr(getattr(run, "_repr_mimebundle_")()),  # noqa: B009 - IPython's name for it
        "exports": "".join(path.read_text(encoding="utf-8") for path in exported),
        "copy": repr(vars(copy.copy(run))),
        "reach": "\n".join(reach(*([] if "named" in run.title else [run]), run.exception)),
    }


@pytest.mark.parametrize(
    ("kind", "stream"),
    [
        pytest.param(
            kind,
            stream,
            id=f"{kind}-{'streamed' if stream else 'at once'}",
        )
        for kind in KINDS
        for stream in (True, False)
    ],
)
def test_a_run(
    address: str,
    kind: str,
    stream: bool,
    tmp_path: Path,
    history: Path,
    logged: io.StringIO,
) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        run = asked(address, kind, stream=stream)
        assert flush(30)
    for place, text in shown(run, tmp_path).items():
        assert CANARY not in text, place
    assert CANARY not in repr([str(each.message) for each in warned])
    assert "send_request_headers" in logged.getvalue(), "the HTTP client logs at DEBUG"
    assert CANARY not in logged.getvalue()
    for path in history.iterdir():
        assert CANARY.encode() not in path.read_bytes(), path.name


def told(error: BaseException) -> str:
    """All that tracebacks of any kind show of an exception, with the variables of each frame."""
    with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
    verbose = VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__)
    texts = [*traceback.format_exception(error), *with_locals.format(), verbose]
    return "".join([*texts, repr(error), str(error), repr(vars(error))])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in WELL])
def test_what_a_failed_run_raises(address: str, kind: str) -> None:
    agent, once = agent_of(address, kind), Retries(requests=0, reconnects=0)
    with pytest.raises(agentnb.RunError) as caught:
        agent.run("hello", retries=once)
    assert "agent.run(" in told(caught.value)
    assert CANARY not in told(caught.value)
    if caught.value.run.exception is not None:
        assert CANARY not in told(caught.value.run.exception)


@pytest.mark.parametrize(
    "kind", ["400", "401", "500", "html", "text", "json", "redirect", "listed"]
)
@pytest.mark.parametrize("what", ["agents", "remote_runs", "remote_status"])
def test_what_is_listed(address: str, kind: str, what: str) -> None:
    # The address has a path, so that the server knows what to answer.
    agent = agentnb.agent("operativus:a", base_url=f"{address}/x/y/{kind}", api_key=CANARY)
    ask = (lambda: agent.remote_status(["r1"])) if what == "remote_status" else getattr(agent, what)
    try:
        found = ask()
    except agentnb.AgentnbError as caught:
        error = caught
        found = None
    else:
        error = None
    assert found is not None or kind != "listed"
    assert CANARY not in "\n".join(reach(found))
    assert error is None or CANARY not in told(error)


def test_the_logs_of_the_first_client_of_a_process() -> None:
    done = python(
        """
        import logging, sys
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
        import agentnb
        from tests.faults.echoing import CANARY, echo
        from tests.faults.rawserver import running

        with running(echo) as server:
            agentnb.agent("operativus:said", base_url=server.url, api_key=CANARY).run("hello")
        """,
        environment={"AGENTNB_HISTORY": "off"},
    )
    assert "receive_response_headers.complete" in done.stdout
    assert CANARY not in done.stdout


class TestHolders:
    def test_what_holds_a_key_does_not_show_it(self, address: str) -> None:
        asked(address, "said")
        agent = agent_of(address, "said")
        settings = config().settings("operativus", base_url=address, api_key=CANARY)
        for holder in (agent, agent.platform, settings, config()):
            for text in reach(holder, vars(holder) if hasattr(holder, "__dict__") else None):
                assert CANARY not in text
        assert CANARY not in repr(dataclasses.asdict(settings))

    def test_nor_can_it_be_copied_out_of_the_process(self, address: str) -> None:
        settings = config().settings("operativus", base_url=address, api_key=CANARY)
        for holder in (agent_of(address, "said"), settings, config()):
            for carry in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled"):
                    carry(holder)
            with pytest.raises(TypeError):
                json.dumps(holder)
        run = asked(address, "said")
        with pytest.raises(TypeError):
            pickle.dumps(run)

    def test_neither_does_the_sandbox(self) -> None:
        with agentnb.sandbox.Sandbox(api_key=SecretStr(CANARY)) as sandbox:
            for carry in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="cannot be pickled"):
                    carry(sandbox)
            assert CANARY not in "\n".join(reach(sandbox))
            agent = agentnb.agent(
                "operativus:echo", base_url=sandbox.base_url("operativus"), api_key=CANARY
            )
            assert agent.run("hello").text == "hello"

    def test_what_is_asked_with_a_wrong_key(self) -> None:
        """The key cannot be sent at all, and no frame on the way shows it."""
        broken = f"{CANARY}\x00"
        agent = agentnb.agent("operativus:a", base_url="http://127.0.0.1:1", api_key=broken)
        run = agent.run("hello", check=False)
        assert run.exception is not None
        told = traceback.TracebackException.from_exception(run.exception, capture_locals=True)
        assert CANARY not in "".join(told.format())

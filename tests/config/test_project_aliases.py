"""What a folder's configuration file may decide: never a full name, nor over the user's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

import agentnb
from agentnb.config import AgentName, Config
from agentnb.platforms.registry import BUILTIN

Write = Callable[[str], Path]
NAMES = list(BUILTIN)
FULL = "seekr:private_agent"


@pytest.mark.parametrize(
    "name", [FULL, "seekr", "seekr:", ":private_agent", " seekr:private_agent "]
)
@pytest.mark.parametrize("target", ["runtools:other", "other", "b"])
def test_a_full_name_is_never_an_alias(
    project_file: Write, fresh: Callable[[], Config], name: str, target: str
) -> None:
    project_file(f"""
        [aliases]
        "{name}" = "{target}"
        b = "runtools:other"
    """)
    found = fresh()
    assert found.resolve(FULL, NAMES) == AgentName("seekr", "private_agent")
    assert found.resolve(f" {FULL} ", NAMES) == AgentName("seekr", "private_agent")
    assert not [alias for alias in found.all_aliases() if ":" in alias]


def test_not_even_one_that_the_session_or_the_user_s_own_file_has(
    user_file: Write, fresh: Callable[[], Config]
) -> None:
    user_file(f"""
        [aliases]
        "{FULL}" = "runtools:other"
    """)
    found = fresh()
    found.aliases[FULL] = "runtools:other"
    assert found.resolve(FULL, NAMES) == AgentName("seekr", "private_agent")


@pytest.mark.parametrize(
    "mine",
    [
        '[aliases]\nfin = "seekr:private_agent"',
        # What the user's own alias leads to is not redirected further on.
        '[aliases]\nfin = "private_agent"',
        '[aliases]\nfin = "mine"\nmine = "seekr:private_agent"',
        'default_agent = "seekr:private_agent"',
        'default_agent = "private_agent"\ndefault_platform = "seekr"',
    ],
)
def test_the_user_file_wins(
    project_file: Write, user_file: Write, fresh: Callable[[], Config], mine: str
) -> None:
    project_file("""
        default_agent = "runtools:other"
        default_platform = "seekr"
        [aliases]
        fin = "runtools:other"
        private_agent = "runtools:other"
        mine = "runtools:other"
    """)
    user_file(mine)
    found = fresh()
    typed = "fin" if "fin" in mine else None
    assert found.resolve(typed, NAMES) == AgentName("seekr", "private_agent")
    assert found.resolve(typed, NAMES).notice is None


def test_so_do_the_session_and_the_environment(
    project_file: Write, fresh: Callable[[], Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    project_file("""
        default_agent = "runtools:other"
        [aliases]
        fin = "runtools:other"
        private_agent = "runtools:other"
    """)
    found = fresh()
    found.aliases["fin"] = FULL
    assert found.resolve("fin", NAMES) == AgentName("seekr", "private_agent")
    monkeypatch.setenv("AGENTNB_DEFAULT_AGENT", FULL)
    assert found.resolve(None, NAMES) == AgentName("seekr", "private_agent")


def test_a_project_alias_is_reported(project_file: Write, fresh: Callable[[], Config]) -> None:
    path = project_file("""
        default_agent = "fin"
        [aliases]
        fin = "echo_there"
        echo_there = "sandbox:echo"
    """)
    found = fresh()
    for typed in ("fin", "echo_there", None):
        name = found.resolve(typed, NAMES)
        assert name == AgentName("sandbox", "echo")
        assert name.notice == f"'{typed or 'fin'}' is sandbox:echo, by an alias in {path}"
    run = agentnb.agent("fin").run("hello")
    assert run.view().notice == f"'fin' is sandbox:echo, by an alias in {path}"
    shown = run._repr_mimebundle_()  # pyright: ignore[reportPrivateUsage]
    assert f"by an alias in {path}" in shown["text/plain"]
    assert f"by an alias in {path}" in shown["text/html"]
    assert found.resolve("sandbox:echo", NAMES).notice is None
    assert agentnb.agent("sandbox:echo").run("hello").view().notice is None


def test_a_cycle_in_a_project_file(project_file: Write, fresh: Callable[[], Config]) -> None:
    project_file("""
        [aliases]
        a = "b"
        b = "a"
    """)
    with contextlib.suppress(agentnb.AgentnbError):
        fresh().resolve("a", NAMES)
    assert fresh().resolve(FULL, NAMES) == AgentName("seekr", "private_agent")

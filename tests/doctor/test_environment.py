"""Packages, the two halves of a widget, the kernel, proxies, and the loops."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import pytest

from agentnb import _loop
from agentnb._http.request import proxy_for
from agentnb.doctor import Host
from agentnb.doctor.frontend import check_event_loops, check_frontend, check_kernel
from agentnb.doctor.network import check_proxies
from agentnb.doctor.packages import (
    check_extras,
    check_packages,
    check_python,
    check_views,
    dependencies,
    installed_version,
    parse_release,
)
from tests.doctor.conftest import CANARY


def test_everything_is_there_where_tests_run() -> None:
    found = [*check_python(), *check_packages(), *check_extras()]
    assert {f.level for f in found} == {"ok"}
    said = " ".join(f.says for f in found)
    for package in ("httpx", "pydantic", "ipykernel", "altair", "duckdb"):
        assert f"{package} {version(package)}" in said


@pytest.mark.parametrize("text", ["Name: agentnb\nVersion: 0.3.10\n", "Name: agentnb\n"])
def test_another_project_that_is_installed_as_agentnb(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agentnb-0.3.10.dist-info").mkdir()
    (tmp_path / "agentnb-0.3.10.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\n{text}"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found, *others = check_packages()
    assert found.level == "problem"
    assert "another project, agentnb " in found.says
    assert "pip uninstall -y agentnb" in found.hint
    assert "jupyter-agentnb" in found.hint
    assert {other.level for other in others} == {"ok"}


def test_requirements_are_parsed() -> None:
    by_name = {dependency.package: dependency for dependency in dependencies()}
    assert by_name["httpx"].extra == ""
    assert by_name["psycopg"].extra == "postgresql"
    assert by_name["psycopg"].specifier.startswith(">=")
    assert all(dependency.is_satisfied for dependency in by_name.values())
    assert installed_version("no-such-package-here") is None
    assert parse_release("7.4.0rc1") == (7, 4, 0)
    assert parse_release("unknown") == ()


def test_the_halves_of_the_widgets_fit_here() -> None:
    (found,) = check_views()
    assert found.level == "ok"
    assert f"anywidget {version('anywidget')}" in found.says


def test_another_anywidget_that_the_page_would_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path / "labextensions" / "anywidget"
    stale.mkdir(parents=True)
    (stale / "package.json").write_text(json.dumps({"name": "anywidget", "version": "0.0.1"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (found,) = check_views()
    assert found.level == "note"
    assert "would load its 0.0.1" in found.says
    assert "anywidget==0.0.1" in found.hint


@pytest.mark.parametrize(
    ("host", "level", "said"),
    [
        (Host(kind="kernel", display="widget", frontend="VS Code"), "ok", "VS Code; runs are live"),
        (Host(kind="kernel", display="static"), "note", "at their end"),
        (Host(kind="ipython", display="text"), "ok", "IPython; runs are plain text"),
        (Host(), "ok", "a terminal"),
    ],
)
def test_the_frontend(host: Host, level: str, said: str) -> None:
    (found,) = check_frontend(host=host)
    assert found.level == level
    assert said in found.says
    assert bool(found.hint) == (level == "note")


def test_the_kernel_is_looked_at_where_there_is_one() -> None:
    own = version("ipykernel")
    expected = [
        (Host(), "ok", own),
        (Host(kind="kernel", subshells=True), "ok", f"{own}, with subshells"),
        (Host(kind="kernel", subshells=False), "note", f"{own}, without subshells"),
    ]
    for host, level, said in expected:
        (found,) = check_kernel(host=host)
        assert found.level == level
        assert found.says.startswith(said)


def test_a_patched_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> None: ...

    # As each of the two libraries names its replacement.
    run.__module__ = "nest_asyncio"
    monkeypatch.setattr(asyncio, "run", run)
    first, _ = check_event_loops(host=Host(kind="kernel"))
    assert first.level == "problem"
    assert "queued meanwhile are lost" in first.says
    assert "allow_nested_loops" in first.hint
    run.__module__ = "nest_asyncio2"
    levels = [f.level for f in check_event_loops(host=Host(kind="kernel"))]
    assert levels == ["ok", "ok"]


def test_a_loop_that_an_agent_blocks() -> None:
    freed = threading.Event()

    async def blocking() -> None:
        freed.wait(60)

    blocked = _loop.submit(blocking())
    try:
        (found,) = check_event_loops(host=Host())
    finally:
        freed.set()
        blocked.result(30)
    assert found.level == "problem"
    assert "did not answer" in found.says
    assert found.hint


def test_proxies_are_named_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://jane:{CANARY}@proxy.example.com:3128")
    (found,) = check_proxies()
    assert found.level == "ok"
    assert "https: http://proxy.example.com:3128" in found.says
    assert CANARY not in str(found)
    assert "jane" not in str(found)
    assert proxy_for("https://api.example.com") is not None
    assert proxy_for("http://api.example.com") is None
    assert proxy_for("https://127.0.0.1:1") is None


def test_a_proxy_before_this_very_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", "proxy.example.com:3128")
    (found,) = check_proxies()
    assert found.level == "note"
    assert "servers on this machine" in found.says
    assert "NO_PROXY" in found.hint


def test_no_proxy() -> None:
    (found,) = check_proxies()
    assert found.says == "none"


def test_the_loop_answers() -> None:
    (found,) = check_event_loops(host=Host(loop="asyncio's SomeLoop"))
    assert "asyncio's SomeLoop; " in found.says
    assert found.level == "ok" or "took" in found.says

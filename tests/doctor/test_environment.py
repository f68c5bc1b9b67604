"""Packages, the two halves of a widget, the kernel, proxies, and the loops."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from agentnb import _loop
from agentnb.doctor import Finding, Host
from agentnb.doctor.checking import Tell
from agentnb.doctor.environment import look_at_extras, look_at_packages, look_at_python
from agentnb.doctor.frontend import look_at_frontend, look_at_kernel, look_at_loops
from agentnb.doctor.proxies import look_at_proxies, proxy_for
from agentnb.doctor.versions import installed, needs, release
from agentnb.doctor.views import look_at_views
from tests.doctor.conftest import CANARY


def seen(look: Callable[[Tell], None]) -> list[Finding]:
    found: list[Finding] = []
    look(found.append)
    return found


def test_everything_is_there_where_tests_run() -> None:
    found = [*seen(look_at_python), *seen(look_at_packages), *seen(look_at_extras)]
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
    found, *others = seen(look_at_packages)
    assert found.level == "problem"
    assert "another project, agentnb " in found.says
    assert "pip uninstall -y agentnb" in found.hint
    assert "jupyter-agentnb" in found.hint
    assert {other.level for other in others} == {"ok"}


def test_what_is_asked_for_is_read_as_packaging_means_it() -> None:
    asked = {need.package: need for need in needs()}
    assert asked["httpx"].extra == ""
    assert asked["psycopg"].extra == "postgresql"
    assert asked["psycopg"].versions.startswith(">=")
    assert all(need.fits for need in asked.values())
    assert installed("no-such-package-here") is None
    assert release("7.4.0rc1") == (7, 4, 0)
    assert release("unknown") == ()


def test_the_halves_of_the_widgets_fit_here() -> None:
    (found,) = seen(look_at_views)
    assert found.level == "ok"
    assert f"anywidget {version('anywidget')}" in found.says


def test_another_anywidget_that_the_page_would_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path / "labextensions" / "anywidget"
    stale.mkdir(parents=True)
    (stale / "package.json").write_text(json.dumps({"name": "anywidget", "version": "0.0.1"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (found,) = seen(look_at_views)
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
    (found,) = seen(lambda tell: look_at_frontend(tell, host=host))
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
        (found,) = seen(lambda tell, host=host: look_at_kernel(tell, host=host))
        assert found.level == level
        assert found.says.startswith(said)


def test_a_patched_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    first, _ = seen(lambda tell: look_at_loops(tell, host=Host(kind="kernel")))
    assert first.level == "problem"
    assert "queued meanwhile are lost" in first.says
    assert "allow_nested_loops" in first.hint
    monkeypatch.setattr(asyncio, "_nest_asyncio2", object(), raising=False)
    levels = [f.level for f in seen(lambda tell: look_at_loops(tell, host=Host(kind="kernel")))]
    assert levels == ["ok", "ok"]


def test_a_loop_that_an_agent_blocks() -> None:
    freed = threading.Event()

    async def blocking() -> None:
        freed.wait(60)

    blocked = _loop.submit(blocking())
    try:
        (found,) = seen(lambda tell: look_at_loops(tell, host=Host()))
    finally:
        freed.set()
        blocked.result(30)
    assert found.level == "problem"
    assert "did not answer" in found.says
    assert found.hint


def test_proxies_are_named_without_their_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://jane:{CANARY}@proxy.example.com:3128")
    (found,) = seen(look_at_proxies)
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
    (found,) = seen(look_at_proxies)
    assert found.level == "note"
    assert "servers on this machine" in found.says
    assert "NO_PROXY" in found.hint


def test_no_proxy() -> None:
    (found,) = seen(look_at_proxies)
    assert found.says == "none"


def test_the_loop_answers() -> None:
    (found,) = seen(lambda tell: look_at_loops(tell, host=Host(loop="asyncio's SomeLoop")))
    assert "asyncio's SomeLoop; " in found.says
    assert found.level == "ok" or "took" in found.says

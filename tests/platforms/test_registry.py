"""Platforms by name, and those that another distribution brings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

import agentnb
from agentnb.errors import ConfigError
from agentnb.platforms import registry
from agentnb.platforms.base import PlatformSettings

BUILTIN = ["operativus", "runagent", "runtools", "seekr"]


def install(folder: Path, entries: str, **modules: str) -> None:
    """Put a distribution with these entry points into ``folder``, as an installer would."""
    info = folder / "acme_agentnb-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-agentnb\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[agentnb.platforms]\n{entries}\n")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


ACME = """
class AcmePlatform:
    def __init__(self, settings):
        self.settings = settings

    @property
    def name(self):
        return self.settings.platform
"""


def test_the_built_in_platforms_are_named_and_load() -> None:
    assert [name for name in registry.names() if name in BUILTIN] == BUILTIN
    for name in BUILTIN:
        platform = registry.load(name)(PlatformSettings(platform=name))
        assert platform.name == name


def test_names_are_told_without_importing_a_platform() -> None:
    script = (
        "import sys; from agentnb.platforms import registry; registry.names();"
        "loaded = [m for m in sys.modules if m.startswith('agentnb.platforms.')"
        " and m != 'agentnb.platforms.registry'];"
        "sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_built_in_name_is_known_without_looking_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is installed is looked through file by file."""

    def look() -> dict[str, object]:
        raise AssertionError("it looked")

    monkeypatch.setattr(registry, "_installed", look)
    assert all(name in registry.NAMES for name in BUILTIN)
    key = SecretStr("a key of the tests")
    agent = agentnb.agent("operativus:a", base_url="http://127.0.0.1:1", api_key=key)
    assert agent.name == "operativus:a"
    with pytest.raises(AssertionError, match="it looked"):
        assert "acme" not in registry.NAMES


def test_another_distribution_adds_a_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "acme = acme_platform_one:AcmePlatform", acme_platform_one=ACME)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert registry.names()[-1] == "acme"
    assert "acme" in registry.NAMES
    assert list(registry.NAMES) == registry.names()
    assert "acme_platform_one" not in sys.modules
    platform = registry.load("acme")(PlatformSettings(platform="acme"))
    assert platform.name == "acme"


def test_a_built_in_platform_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "operativus = acme_platform_two:AcmePlatform", acme_platform_two=ACME)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert registry.names().count("operativus") == 1
    assert registry.load("operativus").__module__.startswith("agentnb.")


def test_a_platform_that_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        "gone = acme_platform_gone:Acme\nraises = acme_platform_raises:Acme\n"
        "lacks = acme_platform_three:Missing\nnumber = acme_platform_three:NUMBER",
        acme_platform_raises="raise ValueError('bad day')",
        acme_platform_three="NUMBER = 3",
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ConfigError, match="acme_platform_gone"):
        registry.load("gone")
    with pytest.raises(ConfigError, match="bad day") as raised:
        registry.load("raises")
    assert isinstance(raised.value.__cause__, ValueError)
    with pytest.raises(ConfigError, match="Missing"):
        registry.load("lacks")
    with pytest.raises(ConfigError, match="no callable"):
        registry.load("number")


def test_an_unknown_platform_is_told_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'operativus'"):
        registry.load("operatvus")
    known = "Known are: operativus, runagent, runtools, seekr.*; an installed package adds others"
    with pytest.raises(ConfigError, match=known):
        registry.load("xyz")

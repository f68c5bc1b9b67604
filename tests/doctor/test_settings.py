"""The configuration and the keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentnb import history
from agentnb._http.options import TRANSPORT_VARIABLE
from agentnb.config import Config, config
from agentnb.doctor import Finding, examine, selected_platforms, settings
from agentnb.doctor.settings import check_config_files, check_default_agent, check_transport
from agentnb.errors import ConfigError
from agentnb.sandbox import Sandbox
from tests.doctor.conftest import CANARY, Look


def files(current: Config | None = None) -> Finding:
    (one,) = check_config_files(current=current or Config())
    return one


def default_agent() -> Finding:
    (one,) = check_default_agent(current=config(reload=True))
    return one


def test_the_transport_that_is_chosen(surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> Finding:
        (one,) = check_transport(current=config(reload=True))
        return one

    assert (told().level, told().says.split()[0]) == ("ok", "httpx")
    (surroundings / "agentnb.toml").write_text("transport = 'aiohttp'\n")
    assert (told().level, told().says.split()[0]) == ("ok", "aiohttp")

    def nothing(_package: str) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(settings, "installed_version", nothing)
        assert told().level == "problem"
        assert "pip install 'jupyter-agentnb[fast]'" in told().hint
    monkeypatch.setenv(TRANSPORT_VARIABLE, "pigeon")
    assert told().level == "problem"


def test_without_a_file_its_path_is_named() -> None:
    assert files().level == "ok"
    assert "config.toml could be one" in files().says


def test_the_files_that_there_are(surroundings: Path) -> None:
    (surroundings / "agentnb.toml").write_text("[aliases]\nfin = 'sandbox:finance_agent'\n")
    current = config(reload=True)
    assert files(current).level == "ok"
    assert str(surroundings / "agentnb.toml") in files(current).says
    (surroundings / "agentnb.toml").write_text("[aliases]\n")
    assert files(current).level == "note"
    assert "%agent config" in files(current).hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is = = no toml", "cannot be read"),
        ("default_agnet = 'x'", "no entry 'default_agnet'"),
        (f"[platforms.seekr]\napi_key = '{CANARY}'", "seekr"),
    ],
)
def test_a_file_that_is_broken(surroundings: Path, text: str, said: str) -> None:
    (surroundings / "agentnb.toml").write_text(text)
    found = files()
    assert found.level == "problem"
    assert "agentnb.toml" in found.says
    assert said in found.says
    assert found.hint
    assert CANARY not in found.says + found.hint


def test_an_invalid_file_is_reported_once(
    surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is named by a file, too, or could be."""
    monkeypatch.delenv("AGENTNB_HISTORY", raising=False)
    history.use(None)
    (surroundings / "agentnb.toml").write_text("this is = = no toml")
    try:
        report = examine()
    finally:
        history.use(None)
    assert [f.check for f in report.findings if "agentnb.toml" in f.says] == ["configuration"]
    (about,) = [f for f in report.findings if f.check == "history"]
    assert (about.level, about.hint) == ("note", "Correct that first.")


def test_a_file_that_is_named_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTNB_CONFIG", "/nowhere/at/all.toml")
    assert files().level == "problem"
    assert "AGENTNB_CONFIG" in files().says


def test_the_default_agent(surroundings: Path) -> None:
    assert default_agent().says == "none; a bare name is one of sandbox"
    (surroundings / "agentnb.toml").write_text("default_agent = 'sandbox:echo'\n")
    assert default_agent().says == "sandbox:echo"
    (surroundings / "agentnb.toml").write_text("default_agent = 'sandbx:echo'\n")
    assert default_agent().level == "problem"
    assert "'sandbox'" in default_agent().hint


def test_several_platforms_and_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEKR_API_KEY", CANARY)
    monkeypatch.setenv("RUNAGENT_API_KEY", CANARY)
    assert default_agent().level == "note"
    assert "%agent use" in default_agent().hint


def test_a_key_that_is_missing(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_BASE_URL", "sandbox-is-not-this")
    found = look("operativus")["key"]
    assert found.level == "problem"
    assert "OPERATIVUS_API_KEY" in found.hint


def test_a_key_of_the_project_is_named_by_its_file(look: Look, surroundings: Path) -> None:
    (surroundings / ".env").write_text(f"OPERATIVUS_API_KEY={CANARY}\n")
    (surroundings / "agentnb.toml").write_text("[aliases]\n")
    found = list(check_config_files(current=config(reload=True)))
    assert [f.level for f in found] == ["ok", "ok"]
    assert str(surroundings / ".env") in found[0].says
    assert ".env" in look("operativus")["key"].says
    assert CANARY not in str(found)


def test_where_a_key_comes_from(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATIVUS_API_KEY", CANARY)
    monkeypatch.setenv("OPERATIVUS_BASE_URL", "sandbox-is-not-this")
    found = look("operativus")["key"]
    assert found.level == "ok"
    assert "OPERATIVUS_API_KEY" in found.says
    assert CANARY not in str(found)


@pytest.mark.parametrize("platform", ["operativus", "runtools", "seekr"])
def test_a_key_that_is_wrong(
    look: Look, sandbox: Sandbox, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{platform.upper()}_API_KEY", CANARY)
    monkeypatch.setenv(f"{platform.upper()}_BASE_URL", sandbox.base_url(platform))
    found = look(platform)
    assert found["connection"].level == "ok"
    assert found["access"].level == "problem"
    assert "401" in found["access"].says
    assert "key" in found["access"].hint
    assert CANARY not in str(found)


def test_without_a_free_call_the_key_is_not_checked(
    look: Look, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNAGENT_API_KEY", CANARY)
    monkeypatch.setenv("RUNAGENT_BASE_URL", sandbox.base_url("runagent"))
    found = look("runagent")["access"]
    assert found.level == "ok"
    assert found.says.startswith("not checked")
    assert "--stream runagent:AGENT" in found.hint


def test_a_platform_on_the_sandbox_of_this_process(
    look: Look, surroundings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (surroundings / "agentnb.toml").write_text("[platforms.seekr]\nbase_url = 'sandbox'\n")
    found = look("seekr")
    assert {f.level for f in found.values()} == {"ok"}
    assert "the sandbox" in found["connection"].says


def test_only_configured_platforms_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert selected_platforms(Config(), []) == {}
    monkeypatch.setenv("SEEKR_API_KEY", CANARY)
    assert selected_platforms(Config(), []) == {"seekr": None}
    assert selected_platforms(Config(), ["operativus"]) == {"operativus": None}
    named = selected_platforms(Config(aliases={"fin": "runtools:f"}), ["seekr:a", "fin"])
    assert named == {"seekr": "a", "runtools": "f"}
    with pytest.raises(ConfigError, match=r"no platform 'seeker'.*Did you mean 'seekr'"):
        selected_platforms(Config(), ["seeker"])

"""The settings of a platform: from arguments, the environment, files and defaults."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import agentnb
from agentnb import Deadlines, Retries
from agentnb.config import Config, ConfigFile, PlatformSettings, config
from agentnb.errors import ConfigError

Write = Callable[[str], Path]
CANARY = "canary-4711"


def configured(**section: Any) -> Config:
    return Config(file=ConfigFile.model_validate({"platforms": {"seekr": section}}))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEKR_API_KEY", "k")


class TestAddresses:
    def test_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Config().settings("seekr").base_url is None
        found = configured(base_url="https://file.example")
        assert found.settings("seekr").base_url == "https://file.example"
        monkeypatch.setenv("SEEKR_BASE_URL", " https://environment.example ")
        assert found.settings("seekr").base_url == "https://environment.example"
        given = found.settings("seekr", base_url="https://argument.example")
        assert given.base_url == "https://argument.example"

    def test_a_platform_s_own_variable_comes_second(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RUNTOOLS_API_KEY", "k")
        monkeypatch.setenv("RUNTOOLS_API_URL", "https://own.example")
        assert Config().settings("runtools").base_url == "https://own.example"
        monkeypatch.setenv("RUNTOOLS_BASE_URL", "https://ours.example")
        assert Config().settings("runtools").base_url == "https://ours.example"

    @pytest.mark.parametrize("wrong", ["flow.seekr.com", "ftp://x.example", "sandbx", "//x"])
    def test_not_an_address(self, wrong: str) -> None:
        with pytest.raises(ConfigError, match="is not an address of seekr") as caught:
            Config().settings("seekr", base_url=wrong)
        assert "sandbox" in (caught.value.hint or "")


class TestTheSandbox:
    @pytest.mark.parametrize("name", ["seekr", "operativus", "runagent", "runtools"])
    def test_it_speaks_every_platform_and_brings_its_key(self, name: str) -> None:
        settings = Config().settings(name, base_url="sandbox")
        running = agentnb.sandbox.start()
        assert settings.base_url == running.base_url(name)
        assert settings.api_key == running.api_key
        assert settings.platform == name

    def test_past_any_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        # Nothing listens there.
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        run = agentnb.agent("seekr:echo", base_url="sandbox").run("straight on")
        assert run.text == "straight on"

    def test_as_a_platform_of_its_own(self) -> None:
        settings = Config().settings("sandbox")
        assert settings.platform == "sandbox"
        assert settings.base_url == agentnb.sandbox.start().base_url("sandbox")
        assert Config().platform_type("sandbox") == "operativus"

    def test_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEEKR_BASE_URL", "sandbox")
        found = Config().settings("seekr")
        assert found.base_url == agentnb.sandbox.start().base_url("seekr")
        assert found.api_key == agentnb.sandbox.start().api_key

    def test_a_key_that_is_given_is_used(self) -> None:
        settings = Config().settings("seekr", base_url="sandbox", api_key=CANARY)
        assert settings.api_key == SecretStr(CANARY)

    def test_one_that_runs_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        file = ConfigFile.model_validate(
            {"platforms": {"sandbox": {"type": "seekr", "base_url": "http://127.0.0.1:1/seekr"}}}
        )
        monkeypatch.setenv("SANDBOX_API_KEY", "its own")
        found = Config(file=file)
        settings = found.settings("sandbox")
        assert settings.base_url == "http://127.0.0.1:1/seekr"
        assert settings.api_key == SecretStr("its own")
        assert found.platform_type("sandbox") == "seekr"


class TestDeadlines:
    def test_the_defaults(self) -> None:
        assert Config().settings("seekr").deadlines == Deadlines()

    def test_in_a_file_where_0_is_none(self, project_file: Write) -> None:
        project_file("""
            [platforms.seekr]
            connect_timeout = 2.5
            first_event_timeout = 0
            idle_timeout = 7
            progress_timeout = 0
            total_timeout = 3600
        """)
        assert config().settings("seekr").deadlines == Deadlines(
            connect=2.5, first_event=None, idle=7.0, progress=None, total=3600.0
        )

    def test_those_that_a_file_leaves_out(self) -> None:
        found = configured(total_timeout=9).settings("seekr").deadlines
        assert found == dataclasses.replace(Deadlines(), total=9.0)

    def test_an_argument_replaces_all(self) -> None:
        given = Deadlines(connect=1, idle=None)
        assert configured(idle_timeout=5).settings("seekr", deadlines=given).deadlines == given


class TestRetries:
    def test_the_defaults(self) -> None:
        assert Config().settings("seekr").retries == Retries()

    def test_in_a_file_where_no_time_is_no_bound(self, project_file: Write) -> None:
        project_file("""
            [platforms.seekr]
            max_retries = 0
            max_reconnects = 9
            reconnect_timeout = 0
        """)
        expected = Retries(requests=0, reconnects=9, reconnect_timeout=None)
        assert config().settings("seekr").retries == expected
        assert agentnb.agent("seekr:a").retries == expected
        assert agentnb.agent("seekr:a").deadlines == Deadlines()

    def test_those_that_a_file_leaves_out(self) -> None:
        found = configured(reconnect_timeout=9).settings("seekr").retries
        assert found == dataclasses.replace(Retries(), reconnect_timeout=9.0)

    def test_an_argument_replaces_all(self) -> None:
        given = Retries(requests=1)
        assert configured(max_reconnects=9).settings("seekr", retries=given).retries == given

    @pytest.mark.parametrize("wrong", ["max_retries = -1", "max_reconnects = 1.5"])
    def test_not_a_count(self, project_file: Write, wrong: str) -> None:
        project_file(f"[platforms.seekr]\n{wrong}\n")
        with pytest.raises(ConfigError, match=wrong.partition(" ")[0]):
            config()


class TestOptions:
    def test_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = configured(team_id="of the file", page_size=5)
        assert found.settings("seekr").options == {"team_id": "of the file", "page_size": 5}
        monkeypatch.setenv("SEEKR_TEAM_ID", "of the environment")
        assert found.settings("seekr").options["team_id"] == "of the environment"
        given = {"team_id": "of the argument"}
        settings = found.settings("seekr", options=given)
        assert settings.options == {"team_id": "of the argument", "page_size": 5}
        assert given == {"team_id": "of the argument"}

    def test_a_name_of_one_s_own_has_those_of_its_type(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = ConfigFile.model_validate({"platforms": {"mine": {"type": "seekr"}}})
        monkeypatch.setenv("MINE_API_KEY", "k")
        monkeypatch.setenv("SEEKR_TEAM_ID", "t")
        assert Config(file=file).settings("mine").options == {"team_id": "t"}
        assert Config(file=file).platform_type("mine") == "seekr"
        monkeypatch.setenv("RUNAGENT_API_KEY", "k")
        assert Config().settings("runagent").options == {}

    def test_trust_env(self) -> None:
        assert Config().settings("seekr").trust_env is True
        assert configured(trust_env=False).settings("seekr").trust_env is False


class TestSecrecy:
    def test_settings_do_not_display_their_key(self) -> None:
        settings = Config().settings("seekr", api_key=CANARY)
        assert settings.api_key is not None
        assert settings.api_key.get_secret_value() == CANARY
        for text in (repr(settings), str(settings), str(dataclasses.asdict(settings))):
            assert CANARY not in text

    def test_settings_cannot_be_pickled(self) -> None:
        settings = Config().settings("seekr", api_key=CANARY)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(settings)
        again = dataclasses.replace(settings, trust_env=False)
        assert again.api_key == settings.api_key
        assert again == PlatformSettings(
            platform="seekr", api_key=SecretStr(CANARY), trust_env=False
        )

    def test_a_config_does_not_display_its_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SEEKR_API_KEY")

        def prompt(_: str) -> str:
            return CANARY

        monkeypatch.setattr("getpass.getpass", prompt)
        found = Config()
        assert found.settings("seekr").api_key == SecretStr(CANARY)
        assert CANARY not in repr(found)
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(found)

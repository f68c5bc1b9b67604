"""From what a user types to a platform and an agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentnb.config import AgentName, Config, ConfigFile, suggestion
from agentnb.errors import ConfigError
from agentnb.platforms.registry import BUILTIN

Write = Callable[[str], Path]
NAMES = list(BUILTIN)


def test_names() -> None:
    assert str(AgentName("seekr", "a:b")) == "seekr:a:b"
    assert suggestion("seeker", NAMES) == "Did you mean 'seekr'?"
    assert suggestion("zzz", NAMES) == ""
    assert suggestion("x", []) == ""


def test_a_full_name() -> None:
    assert Config().resolve("seekr:a1", NAMES) == AgentName("seekr", "a1")
    assert Config().resolve("  seekr:ns:a1 ", NAMES) == AgentName("seekr", "ns:a1")
    assert Config().resolve("sandbox:echo", NAMES) == AgentName("sandbox", "echo")


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("seeker:a", "no platform 'seeker'", "Did you mean 'seekr'?"),
        ("sandbx:a", "no platform 'sandbx'", "Did you mean 'sandbox'?"),
        ("zzz:a", "no platform 'zzz'", "Known are: operativus, runagent, runtools, seekr, sandbox"),
        ("zzz:a", "no platform 'zzz'", "; an installed package adds others by an entry point."),
        (":a", "no platform ''", "Known are:"),
        ("seekr:", "'seekr:' names no agent", "Write seekr:<agent>."),
        ("", "No agent was named", "finance_agent"),
        (None, "No agent was named", "finance_agent"),
    ],
)
def test_a_wrong_name(typed: str | None, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config().resolve(typed, NAMES)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


class TestBareNames:
    def test_none_is_configured(self) -> None:
        assert Config().resolve("a1", NAMES) == AgentName("sandbox", "a1")

    @pytest.mark.parametrize(
        "variable",
        ["RUNTOOLS_API_KEY", "RUNTOOLS_BASE_URL", "RUNTOOLS_API_URL"],
    )
    def test_one_is(self, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
        assert Config().resolve("a1", NAMES) == AgentName("runtools", "a1")
        assert Config().is_configured("runtools")
        assert not Config().is_configured("seekr")

    def test_an_empty_variable_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RUNTOOLS_API_KEY", " ")
        assert Config().infer_platform(NAMES) == "sandbox"

    def test_one_is_by_an_address_in_a_file(self) -> None:
        file = ConfigFile.model_validate(
            {
                "platforms": {
                    "mine": {"type": "seekr", "base_url": "http://127.0.0.1:1"},
                    "seekr": {"idle_timeout": 1},
                }
            }
        )
        assert Config(file=file).resolve("a1", NAMES) == AgentName("mine", "a1")

    def test_several_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEEKR_API_KEY", "k")
        monkeypatch.setenv("RUNAGENT_API_KEY", "k")
        with pytest.raises(ConfigError, match=r"\(runagent, seekr\)") as caught:
            Config().resolve("a1", NAMES)
        assert "runagent:<agent>" in (caught.value.hint or "")
        # A full name needs no choice.
        assert Config().resolve("seekr:a1", NAMES).platform == "seekr"

    def test_the_default_s_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RUNAGENT_API_KEY", "k")
        found = Config(file=ConfigFile(default_platform="seekr"))
        assert found.infer_platform(NAMES) == "seekr"
        monkeypatch.setenv("AGENTNB_DEFAULT_PLATFORM", " runtools ")
        assert found.infer_platform(NAMES) == "runtools"
        found.default_platform = "operativus"
        assert found.infer_platform(NAMES) == "operativus"

    def test_an_unknown_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AGENTNB_DEFAULT_PLATFORM", "seeker")
        with pytest.raises(ConfigError, match="no platform 'seeker'") as caught:
            Config().resolve("a1", NAMES)
        assert caught.value.hint == "Did you mean 'seekr'?"


class TestDefaults:
    def test_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = Config(file=ConfigFile(default_agent="seekr:of_the_file"))
        assert found.resolve(None, NAMES).agent == "of_the_file"
        monkeypatch.setenv("AGENTNB_DEFAULT_AGENT", "seekr:of_the_environment")
        assert found.resolve("  ", NAMES).agent == "of_the_environment"
        found.default_agent = "seekr:of_the_session"
        assert found.resolve(None, NAMES).agent == "of_the_session"
        assert found.resolve("seekr:typed", NAMES).agent == "typed"

    def test_a_default_may_be_an_alias(self) -> None:
        file = ConfigFile(default_agent="fin", aliases={"fin": "seekr:a1"})
        assert Config(file=file).resolve(None, NAMES) == AgentName("seekr", "a1")


class TestAliases:
    def test_the_session_s_win(self) -> None:
        found = Config(file=ConfigFile(aliases={"a": "seekr:one", "b": "seekr:two"}))
        found.aliases["a"] = "seekr:three"
        assert found.resolve("a", NAMES).agent == "three"
        assert found.resolve("b", NAMES).agent == "two"
        assert found.all_aliases() == {"a": "seekr:three", "b": "seekr:two"}

    def test_one_may_lead_to_another(self) -> None:
        aliases = {"a": "b", "b": "c", "c": "runtools:x"}
        assert Config(aliases=aliases).resolve("a", NAMES) == AgentName("runtools", "x")

    def test_one_may_lead_to_a_bare_name(self) -> None:
        assert Config(aliases={"a": "echo"}).resolve("a", NAMES) == AgentName("sandbox", "echo")

    @pytest.mark.parametrize("aliases", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "b"}])
    def test_a_circle(self, aliases: dict[str, str]) -> None:
        with pytest.raises(ConfigError, match="The alias 'a' leads back to itself"):
            Config(aliases=aliases).resolve("a", NAMES)

    def test_one_may_have_the_name_of_its_agent(self) -> None:
        aliases = {"echo": "seekr:echo"}
        assert Config(aliases=aliases).resolve("echo", NAMES) == AgentName("seekr", "echo")


def test_every_name_that_can_be_typed() -> None:
    file = ConfigFile.model_validate({"platforms": {"mine": {"type": "seekr"}, "seekr": {}}})
    assert Config(file=file).platform_names(NAMES) == [*NAMES, "mine", "sandbox"]

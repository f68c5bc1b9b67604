"""A key in an address, as a name, among parameters or on a cell's line: refused, never repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import SecretStr

import agentnb
from agentnb._secrets import looks_like_key
from agentnb.config import config
from agentnb.errors import AgentnbError, ConfigError, RequestError
from agentnb.notebook.options import parse_cell_line, parse_chat_words

KEY = "sk-proj-canary0123456789ABCDEF-x"
PLACES = ("_API_KEY in the environment or in .env", "%agent login", "getpass", "keyring")

# What a type checker refuses, too.
agent = cast("Callable[..., Any]", agentnb.agent)


def refused(error: AgentnbError) -> None:
    told = f"{error}"
    assert KEY not in told
    assert "canary" not in f"{error!r} {vars(error)}"
    assert "\n" not in told
    for place in PLACES:
        assert place in told


@pytest.mark.parametrize(
    "address",
    [
        f"https://user:{KEY}@api.example.com",
        f"https://{KEY}@api.example.com",
        f"https://api.example.com/v1?api_key={KEY}",
        f"https://api.example.com/v1#{KEY}",
        f"ftp://user:{KEY}@api.example.com",
        f"https://[{KEY}",
    ],
)
class TestAddresses:
    def test_as_an_argument(self, address: str) -> None:
        with pytest.raises(ConfigError, match="base_url of seekr") as caught:
            agentnb.agent("seekr:a", base_url=address, api_key="another-key")
        refused(caught.value)

    def test_in_the_environment(self, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEEKR_BASE_URL", address)
        monkeypatch.setenv("SEEKR_API_KEY", "another-key")
        with pytest.raises(ConfigError, match="base_url of seekr") as caught:
            agentnb.agent("seekr:a")
        refused(caught.value)


class TestNames:
    @pytest.mark.parametrize("given", [("seekr:a", KEY), ("seekr:a", SecretStr(KEY)), (KEY,)])
    def test_in_the_place_of_an_agent_or_after_it(self, given: tuple[Any, ...]) -> None:
        with pytest.raises(ConfigError, match="Only the name of an agent") as caught:
            agent(*given)
        refused(caught.value)

    @pytest.mark.parametrize(
        "key",
        [
            KEY,
            "sk-ant-api03-AbCdEf0123456789AbCdEf",
            "hf_AbCdEfGhIjKlMnOpQrStUv0123",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        ],
    )
    def test_what_looks_like_a_key(self, key: str) -> None:
        assert looks_like_key(key)

    @pytest.mark.parametrize(
        "name",
        [
            "finance_agent",
            "seekr:agent-0123456789abcdef0123456789abcdef",
            "sk-learn-helper-for-notebooks-v2",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "pk",
            "",
        ],
    )
    def test_what_does_not(self, name: str) -> None:
        assert not looks_like_key(name)


class TestOptions:
    @pytest.mark.parametrize("name", ["api_key", "apiKey", "access_token", "password"])
    def test_options_are_shown(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"'{name}' cannot be one of them") as caught:
            agentnb.agent("seekr:a", api_key="another-key", options={name: KEY})
        refused(caught.value)

    def test_what_is_not_shown_is_left_to_the_platform(self) -> None:
        found = config().settings("ours", api_key="k", options={"token": SecretStr(KEY)})
        assert KEY not in repr(found)

    @pytest.mark.parametrize("platform", ["seekr", "runagent", "operativus", "runtools"])
    @pytest.mark.parametrize("name", ["api_key", "token"])
    def test_parameters_of_a_run(self, platform: str, name: str) -> None:
        asked = agentnb.agent(f"{platform}:echo", base_url="sandbox").run(
            "hello", check=False, **{name: KEY}
        )
        assert asked.status == "failed"
        assert isinstance(asked.exception, RequestError)
        refused(asked.exception)
        assert KEY not in repr(asked.transcript.to_dict())


@pytest.mark.parametrize(
    "line",
    [
        f"finance_agent --param api_key={KEY}",
        f"finance_agent --param=api_key={KEY}",
        f"finance_agent --param 'token=\"{KEY}\"'",
        f"finance_agent --api-key {KEY}",
        f"finance_agent --api-key={KEY}",
        f"finance_agent --platform {KEY}",
        f"finance_agent --session={KEY}",
        f"finance_agent --param model={KEY}",
        f"finance_agent api_key={KEY}",
        f"finance_agent {KEY}",
        f"{KEY}",
        f"x << finance_agent -p {KEY}",
        f"finance_agent '{KEY} --param api_key={KEY}",
    ],
)
def test_the_line_of_a_cell_is_saved(line: str) -> None:
    with pytest.raises(RequestError, match="saved with the notebook") as caught:
        parse_cell_line(line)
    refused(caught.value)


def test_the_line_of_a_chat_too() -> None:
    with pytest.raises(RequestError, match="saved with the notebook") as caught:
        parse_chat_words(["finance_agent", "--session", KEY])
    refused(caught.value)


def test_other_parameters_stand_on_a_line_as_before() -> None:
    options = parse_cell_line(
        "finance_agent --param max_tokens=5 --param key_points=3 --param=model=m -s key"
    )
    assert options.params == {"max_tokens": 5, "key_points": 3, "model": "m"}
    assert options.session == "key"

"""A key in an address, as a name, among parameters or on a cell's line: refused, never repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from pydantic import SecretStr

import agentnb
from agentnb.config import config
from agentnb.errors import AgentnbError, ConfigError, RequestError
from agentnb.notebook.options import parse_cell_line, parse_chat_words
from agentnb.redaction import secrets
from agentnb.redaction.secrets import has_secret, looks_like_key, remember_environment

KEY = "sk-proj-canary0123456789ABCDEF-x"
PLACES = ("_API_KEY in the environment or in .env", "%agent login", "getpass", "keyring")

# What a type checker refuses, too.
agent = cast("Callable[..., Any]", agentnb.agent)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no word that is a key here be one for the tests that follow."""
    monkeypatch.setattr(secrets, "_known", secrets._known)  # pyright: ignore[reportPrivateUsage]


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
        f"https://api.example.com/{KEY}",
        f"https://api.example.com/v1/{KEY}/agents",
        f"https://api.example.com/v1;key={KEY}",
        f"https://api.example.com/{KEY.replace('-', '%2D')}/",
        f"https://{KEY}:8443/v1",
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


def test_a_key_that_only_its_owner_knows_for_one_in_an_address() -> None:
    for given in ("opaque0123456789", SecretStr("opaque0123456789")):
        with pytest.raises(ConfigError, match="base_url of seekr carries a key") as caught:
            agentnb.agent(
                "seekr:a", base_url="https://h.example/opaque0123456789/v1", api_key=given
            )
        assert "opaque" not in str(caught.value)


@pytest.mark.parametrize("path", ["/v1", "/operativus", "/tenants/3f2504e0-4f89-11d3-9a0c/api"])
def test_addresses_as_they_are(path: str) -> None:
    found = config().settings("ours", base_url=f"http://127.0.0.1:1{path}", api_key="operativus")
    assert found.base_url == f"http://127.0.0.1:1{path}"


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

    def test_what_only_sounds_like_a_key(self) -> None:
        given = {"sort_key": "name", "page_token": 5, "stop_token": "</s>"}
        assert config().settings("ours", api_key="k", options=given).options == given
        with pytest.raises(ConfigError, match="'sort_key' cannot be one of them"):
            config().settings("ours", api_key="k", options={"sort_key": KEY})

    def test_a_parameter_that_is_mistaken_is_told_as_such(self) -> None:
        agent = agentnb.agent("operativus:echo", base_url="sandbox")
        asked = agent.run("hello", check=False, sort_key="name")
        assert isinstance(asked.exception, RequestError)
        assert "keyring" not in str(asked.exception)

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
        f"finance_agent --param 'model=\"{KEY}\"'",
        f"finance_agent --param sort_key={KEY}",
        "finance_agent --param token=canary0123456789abcdef",
        "finance_agent --param service_key='Bearer canary0123456789abcdef'",
        "finance_agent --param api_key=canary",
        "finance_agent --param accessToken=canary",
        "finance_agent --param X-Api-Key=canary",
        "finance_agent --param client_secret=canary",
        "finance_agent --param password=canary",
        "finance_agent --token canary",
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


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("sort_key=name", "name"),
        ("sort_key=created_at_of_the_run_descending", "created_at_of_the_run_descending"),
        ("stop_token='</s>'", "</s>"),
        ("partition_key=2024", 2024),
        ("partition_key=2024-Q1", "2024-Q1"),
        ("page_token=5", 5),
        ("token=blue", "blue"),
        ("key='[1, 2]'", [1, 2]),
    ],
)
def test_parameters_that_only_sound_like_a_key(pair: str, value: Any) -> None:
    params = parse_cell_line(f"finance_agent --param {pair}").params
    assert params == {pair.partition("=")[0]: value}


def test_other_parameters_stand_on_a_line_as_before() -> None:
    options = parse_cell_line(
        "finance_agent --param max_tokens=5 --param key_points=3 --param=model=m -s key"
    )
    assert options.params == {"max_tokens": 5, "key_points": 3, "model": "m"}
    assert options.session == "key"


@pytest.mark.parametrize(
    ("value", "is_known"),
    [
        ("zq7-of-tests", True),
        ("wholly-without-any-digits", True),
        ("completed", False),
        ("a zq7 of tests", False),
        ("20240101", False),
        ("k1", False),
    ],
)
def test_what_the_environment_only_calls_a_key(
    monkeypatch: pytest.MonkeyPatch, value: str, is_known: bool
) -> None:
    """A word is not taken out of every answer because a variable holds it."""
    monkeypatch.setenv("NEVER_USED_API_KEY", value)
    remember_environment()
    assert has_secret(f"<{value}>") is is_known

"""Keys: sources, their order, and the error without a key."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest
from pydantic import SecretStr

from agentnb.config import Config, config, find_key
from agentnb.config.environment import key_variable
from agentnb.errors import ConfigError, MissingKeyError
from tests.children import TIMEOUT, python

CANARY = "canary-4711"
Answer = Callable[[Callable[[str], str]], None]


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring of this process."""

    priority = 1  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.reads = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.reads += 1
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class LockedKeyring(MemoryKeyring):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.fixture(autouse=True)
def ring(restored: None) -> MemoryKeyring:
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    return ring


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Sets the function that prompts."""
    return lambda prompt: monkeypatch.setattr("getpass.getpass", prompt)


def test_the_variable() -> None:
    assert key_variable("seekr") == "SEEKR_API_KEY"
    assert key_variable("my-own.one") == "MY_OWN_ONE_API_KEY"


class TestOrder:
    def test_the_environment_first(
        self, monkeypatch: pytest.MonkeyPatch, ring: MemoryKeyring
    ) -> None:
        ring.kept["agentnb", "seekr"] = "of the keyring"
        monkeypatch.setenv("SEEKR_API_KEY", f"  {CANARY}\n")
        key, where = find_key("seekr")
        assert key == SecretStr(CANARY)
        assert where == "environment variable SEEKR_API_KEY"
        assert CANARY not in repr((key, where))
        assert ring.reads == 0

    def test_then_the_keyring(
        self, monkeypatch: pytest.MonkeyPatch, ring: MemoryKeyring, answer: Answer
    ) -> None:
        answer(lambda _: "typed")
        monkeypatch.setenv("SEEKR_API_KEY", " ")
        ring.kept["agentnb", "seekr"] = f"{CANARY}\n"
        assert find_key("seekr") == (SecretStr(CANARY), "keyring")
        with pytest.raises(MissingKeyError):
            find_key("runagent", ask=False)

    def test_then_a_prompt(self, answer: Answer) -> None:
        prompts: list[str] = []

        def prompt(text: str) -> str:
            prompts.append(text)
            return f" {CANARY} "

        answer(prompt)
        assert find_key("seekr") == (SecretStr(CANARY), "prompt")
        assert prompts == ["API key for seekr: "]
        with pytest.raises(MissingKeyError):
            find_key("seekr", ask=False)

    def test_an_argument_before_all(
        self, monkeypatch: pytest.MonkeyPatch, ring: MemoryKeyring
    ) -> None:
        monkeypatch.setenv("SEEKR_API_KEY", "of the environment")
        for given in (CANARY, SecretStr(CANARY), f" {CANARY} "):
            assert Config().settings("seekr", api_key=given).api_key == SecretStr(CANARY)
        for empty in ("", " ", SecretStr("")):
            found = Config().settings("seekr", api_key=empty).api_key
            assert found == SecretStr("of the environment")
        assert ring.reads == 0


class TestMissing:
    def test_the_error(self) -> None:
        with pytest.raises(MissingKeyError) as caught:
            find_key("my-own", ask=False)
        assert isinstance(caught.value, ConfigError)
        assert caught.value.message == "No API key for my-own."
        hint = caught.value.hint or ""
        for part in (
            "Set MY_OWN_API_KEY in the environment or in .env",
            "'%agent login my-own'",
            "service 'agentnb', user 'my-own'",
            "sandbox",
        ):
            assert part in hint

    @pytest.mark.parametrize("error", [EOFError(), RuntimeError("no prompt here")])
    def test_a_frontend_without_prompts(self, answer: Answer, error: Exception) -> None:
        def prompt(_: str) -> str:
            raise error

        answer(prompt)
        with pytest.raises(MissingKeyError):
            find_key("seekr")

    def test_an_empty_answer(self, answer: Answer) -> None:
        answer(lambda _: " ")
        with pytest.raises(MissingKeyError):
            find_key("seekr")

    def test_ctrl_c_at_the_prompt(self, answer: Answer) -> None:
        def prompt(_: str) -> str:
            raise KeyboardInterrupt

        answer(prompt)
        with pytest.raises(KeyboardInterrupt):
            find_key("seekr")

    def test_no_prompt_without_a_terminal(self) -> None:
        """Standard input is no terminal here, and no kernel put its own prompt in place."""
        python(
            """
            import sys
            import ipykernel.kernelapp  # importing it does not enable prompts
            from agentnb.config import find_key
            from agentnb.errors import MissingKeyError

            for stdin in (sys.stdin, None):
                sys.stdin = stdin
                try:
                    find_key("seekr")
                except MissingKeyError:
                    continue
                sys.exit("a key came from nowhere")
            """,
            "-W",
            "default",
            environment={"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        )

    def test_a_closed_standard_input(self) -> None:
        python(
            """
            import sys
            from agentnb.config import find_key
            from agentnb.errors import MissingKeyError

            sys.stdin.close()
            try:
                find_key("seekr")
            except MissingKeyError:
                sys.exit(0)
            sys.exit("a key came from nowhere")
            """,
            environment={"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        )


class TestKeyrings:
    def test_no_keyring(self) -> None:
        keyring.set_keyring(keyring.backends.fail.Keyring())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        with pytest.raises(MissingKeyError):
            find_key("seekr", ask=False)

    @pytest.mark.parametrize(
        "error", [keyring.errors.KeyringLocked("locked"), OSError("the bus is gone")]
    )
    def test_one_that_is_locked_is_reported(self, answer: Answer, error: Exception) -> None:
        answer(lambda _: CANARY)
        keyring.set_keyring(LockedKeyring(error))
        with pytest.warns(UserWarning, match=f"keyring could not be read: {error}"):
            key, where = find_key("seekr")
        assert (key, where) == (SecretStr(CANARY), "prompt")

    def test_without_the_package(self) -> None:
        python("""
            import sys
            sys.modules["keyring"] = None
            from agentnb.config import find_key
            from agentnb.errors import MissingKeyError

            try:
                find_key("seekr", ask=False)
            except MissingKeyError:
                sys.exit(0)
            sys.exit("a key came from nowhere")
        """)


class TestMemory:
    def test_the_user_is_prompted_once(
        self, monkeypatch: pytest.MonkeyPatch, ring: MemoryKeyring
    ) -> None:
        prompts: list[str] = []

        def prompt(text: str) -> str:
            prompts.append(text)
            return f"typed {len(prompts)}"

        monkeypatch.setattr("getpass.getpass", prompt)
        found = config()
        for _ in range(3):
            assert found.settings("seekr").api_key == SecretStr("typed 1")
        assert len(prompts) == 1
        assert found.settings("runagent").api_key == SecretStr("typed 2")
        # What the environment says later counts at once.
        monkeypatch.setenv("SEEKR_API_KEY", "of the environment")
        assert found.settings("seekr").api_key == SecretStr("of the environment")
        monkeypatch.delenv("SEEKR_API_KEY")
        found.forget_key("seekr")
        found.forget_key("unknown")
        assert found.settings("seekr").api_key == SecretStr("typed 3")
        # And reading the configuration again forgets all of them.
        ring.kept["agentnb", "seekr"] = "of the keyring"
        assert found.settings("seekr").api_key == SecretStr("typed 3")
        assert config(reload=True).settings("seekr").api_key == SecretStr("of the keyring")

    def test_a_session_key(self, monkeypatch: pytest.MonkeyPatch, ring: MemoryKeyring) -> None:
        monkeypatch.setenv("SEEKR_API_KEY", "of the environment")
        found = config()
        assert found.key_source("seekr") == "environment variable SEEKR_API_KEY"
        assert found.key_source("runagent") is None
        found.set_session_key("seekr", SecretStr(CANARY), "%agent login")
        found = config(reload=True)
        assert found.settings("seekr").api_key == SecretStr(CANARY)
        assert found.key_source("seekr") == "%agent login"
        assert found.settings("seekr", api_key="given").api_key == SecretStr("given")
        found.forget_key("seekr")
        assert found.settings("seekr").api_key == SecretStr("of the environment")
        ring.kept["agentnb", "runagent"] = "of the keyring"
        assert found.key_source("runagent") is None, "the keyring is not read for that"
        found.settings("runagent")
        assert found.key_source("runagent") == "keyring"

    def test_a_missing_key_is_looked_up_again(self, ring: MemoryKeyring) -> None:
        found = config()
        with pytest.raises(MissingKeyError):
            found.settings("seekr", ask=False)
        ring.kept["agentnb", "seekr"] = CANARY
        assert found.settings("seekr", ask=False).api_key == SecretStr(CANARY)


def test_a_prompt_on_a_terminal_does_not_show_what_is_typed() -> None:
    leader, follower = pty.openpty()
    code = """
        from agentnb.config import find_key
        key, where = find_key("seekr")
        print("found by", where, len(key.get_secret_value()), key)
    """
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"},
        # Without a terminal of its own to open, getpass asks on this one.
        start_new_session=True,
    )
    os.close(follower)
    output = b""
    try:
        while b"API key for seekr: " not in output:
            output += os.read(leader, 1024)
        os.write(leader, f"{CANARY}\n".encode())
        while b"found by" not in output or not output.endswith(b"\n"):
            output += os.read(leader, 1024)
        assert child.wait(TIMEOUT) == 0
    finally:
        child.kill()
        child.wait()
        os.close(leader)
    assert f"found by prompt {len(CANARY)} **********" in output.decode()
    assert CANARY.encode() not in output

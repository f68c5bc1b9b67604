"""Keys from a project's ``.env``: keys alone, and from that project alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from agentnb.config import Config, find_key
from agentnb.config.environment import env_file, read_env_keys
from agentnb.errors import MissingKeyError
from agentnb.redaction.secrets import has_secret

CANARY = "canary-of-the-env-file"


@pytest.fixture
def write(project: Path) -> Callable[..., Path]:
    """Writes ``.env`` into the project's root, or into a folder of it."""
    (project.parent / "pyproject.toml").touch()

    def write(text: str, folder: Path = project.parent) -> Path:
        (folder / ".env").write_text(text, encoding="utf-8")
        return folder / ".env"

    return write


class TestWhere:
    def test_the_nearest_up_to_the_root_of_the_project(
        self, project: Path, write: Callable[..., Path]
    ) -> None:
        assert env_file() is None
        of_the_root = write("")
        assert env_file() == of_the_root
        nearer = write("", project)
        assert env_file() == nearer
        assert env_file(project.parent) == of_the_root

    @pytest.mark.parametrize("mark", [".git", "agentnb.toml", "pyproject.toml"])
    def test_nothing_above_the_root(self, project: Path, mark: str) -> None:
        (project.parent / ".env").write_text("SEEKR_API_KEY=of somebody else")
        assert env_file() is None, "outside of a project only the folder itself counts"
        (project.parent / mark).touch()
        assert env_file() == project.parent / ".env"
        (project / mark).touch()
        assert env_file() is None

    def test_a_folder_of_that_name(self, project: Path) -> None:
        (project / ".env").mkdir()
        assert env_file() is None

    def test_a_working_folder_that_is_gone(self, project: Path) -> None:
        project.rmdir()
        assert env_file() is None


class TestKeys:
    def test_its_place_among_the_sources(
        self, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(f"export SEEKR_API_KEY='{CANARY}'\nRUNAGENT_API_KEY= \n")
        assert find_key("seekr", ask=False) == (SecretStr(CANARY), f"SEEKR_API_KEY in {path}")
        assert Config().key_source("seekr") == f"SEEKR_API_KEY in {path}"
        assert Config().is_configured("seekr")
        assert not Config().is_configured("runagent")
        with pytest.raises(MissingKeyError):
            find_key("runagent", ask=False)
        monkeypatch.setenv("SEEKR_API_KEY", "of the environment")
        assert find_key("seekr", ask=False)[0] == SecretStr("of the environment")

    def test_it_is_known_as_a_secret_and_not_in_the_environment(
        self, write: Callable[..., Path]
    ) -> None:
        write(f"SEEKR_API_KEY={CANARY}")
        assert CANARY not in repr(read_env_keys(env_file() or Path()))
        Config().settings("seekr", ask=False)
        assert has_secret(f"<{CANARY}>")
        assert "SEEKR_API_KEY" not in os.environ

    def test_it_gives_no_address(self, write: Callable[..., Path]) -> None:
        write(
            "SEEKR_BASE_URL=https://elsewhere.example\nRUNTOOLS_API_URL=https://elsewhere.example\n"
            f"AGENTNB_DEFAULT_PLATFORM=runagent\nSEEKR_API_KEY={CANARY}\nRUNTOOLS_API_KEY={CANARY}\n"
        )
        for name in ("seekr", "runtools"):
            settings = Config().settings(name)
            assert settings.base_url is None
            assert settings.api_key == SecretStr(CANARY)
        assert list(read_env_keys(env_file() or Path())) == ["SEEKR_API_KEY", "RUNTOOLS_API_KEY"]

    def test_no_interpolation_of_the_environment(
        self, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANOTHER_SECRET", CANARY)
        write("SEEKR_API_KEY=${ANOTHER_SECRET}")
        assert find_key("seekr")[0] == SecretStr("${ANOTHER_SECRET}")

    def test_a_change_takes_effect_at_once(self, write: Callable[..., Path]) -> None:
        write("SEEKR_API_KEY=the-first-one")
        current = Config()
        assert current.settings("seekr").api_key == SecretStr("the-first-one")
        write("SEEKR_API_KEY=the-second-one")
        assert current.settings("seekr").api_key == SecretStr("the-second-one")

    def test_only_a_key_in_use_is_redacted(self, write: Callable[..., Path]) -> None:
        """Only a key that is used is a secret; a file may call anything a key."""
        write(f"SEEKR_API_KEY={CANARY}\nX_API_KEY=unremarkable\nRUNAGENT_API_KEY='is not so'\n")
        current = Config()
        assert current.settings("seekr").api_key == SecretStr(CANARY)
        assert not has_secret("an unremarkable answer")
        with (
            pytest.warns(UserWarning, match=r"RUNAGENT_API_KEY in .*\.env is not a key") as warned,
            pytest.raises(MissingKeyError),
        ):
            current.settings("runagent", ask=False)
        assert "not so" not in str([str(each.message) for each in warned])
        assert not has_secret("that is not so")

    @pytest.mark.parametrize("content", [b"\xff\xfe", b"SEEKR_API_KEY=\xe9"])
    def test_an_unreadable_file(self, write: Callable[..., Path], content: bytes) -> None:
        write("").write_bytes(content)
        with (
            pytest.warns(UserWarning, match=r"\.env could not be read"),
            pytest.raises(MissingKeyError),
        ):
            find_key("seekr", ask=False)

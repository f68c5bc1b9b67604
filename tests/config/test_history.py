"""``[history]`` in the configuration files: what the user may say, and what a folder may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentnb.config import HistorySection, load_config, user_config_path
from agentnb.errors import ConfigError

Write = Callable[[str], Path]


def history() -> HistorySection:
    return load_config()[0].history


def test_without_any_file() -> None:
    assert history() == HistorySection(url=None, store_content=True)


def test_the_user_file(user_file: Write) -> None:
    user_file("""
        [history]
        url = "postgresql+psycopg://ann@db.example:5432/runs"
        store_content = false
    """)
    assert history() == HistorySection(
        url="postgresql+psycopg://ann@db.example:5432/runs", store_content=False
    )


@pytest.mark.parametrize("url", ["elsewhere.sqlite", "postgresql://elsewhere.example/runs", ""])
def test_a_project_file_cannot_move_the_history(project_file: Write, url: str) -> None:
    path = project_file(f'[history]\nurl = "{url}"')
    with pytest.raises(ConfigError, match="prompts and answers would go there") as caught:
        load_config()
    assert str(path) in str(caught.value)
    assert str(user_config_path()) in (caught.value.hint or "")


def test_a_project_file_may_restrict_the_history(project_file: Write, user_file: Write) -> None:
    user_file('[history]\nurl = "/of/the/user.sqlite"')
    project_file("[history]\nstore_content = false")
    assert history() == HistorySection(url="/of/the/user.sqlite", store_content=False)
    project_file('[history]\nurl = "off"')
    assert history().url == "off"


def test_a_project_file_cannot_extend_the_history(project_file: Write, user_file: Write) -> None:
    user_file("[history]\nstore_content = false")
    project_file("[history]\nstore_content = true")
    assert not history().store_content


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ann:the-secret-word@db.example/runs",
        "postgresql://ann:the-secret/word@db.example/runs",
        "postgresql://ann:the-secret@word@db.example/runs",
        "postgresql://ann:the-secret?word@db.example/runs",
        "postgresql://:the-secret-word@db.example/runs",
        "postgresql://db.example/runs?user=ann&password=the-secret-word",
        "postgresql://db.example/runs?sslpassword=the-secret-word",
    ],
)
def test_a_password_does_not_belong_in_a_file(user_file: Write, url: str) -> None:
    path = user_file(f'[history]\nurl = "{url}"')
    with pytest.raises(ConfigError, match="holds a password") as caught:
        load_config()
    assert str(path) in str(caught.value)
    assert "PGPASSFILE" in (caught.value.hint or "")
    assert "the-secret" not in str(caught.value)
    assert "the-secret" not in repr(caught.value)


def test_a_password_entry(user_file: Write) -> None:
    user_file('[history]\npassword = "the-secret-word"')
    with pytest.raises(ConfigError, match=r"'password' in \[history\]") as caught:
        load_config()
    assert "AGENTNB_HISTORY" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ann@db.example:5432/runs?sslmode=require",
        "postgresql://db.example:5432/runs?passfile=/home/ann/.pgpass",
        "sqlite:////home/ann/history.sqlite",
        "sqlite:////home/ann:mine@example/history.sqlite",
        "C:\\\\Users\\\\ann@example\\\\history.sqlite",
    ],
)
def test_an_address_without_a_password(user_file: Write, url: str) -> None:
    user_file(f'[history]\nurl = "{url}"')
    assert history().url == url.replace("\\\\", "\\")


def test_a_misspelt_entry(user_file: Write) -> None:
    user_file("[history]\nstore_contents = false")
    with pytest.raises(ConfigError, match=r"no entry 'history\.store_contents'") as caught:
        load_config()
    assert caught.value.hint == "Did you mean 'history.store_content'?"

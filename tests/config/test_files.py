"""The configuration files: which are read, what they may say, and the errors for invalid ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentnb.config import Config, ConfigFile, config, load_config, user_config_path
from agentnb.errors import ConfigError

Write = Callable[[str], Path]


def test_without_any_file() -> None:
    assert load_config() == (ConfigFile(), ())
    assert not user_config_path().exists()


def test_the_nearest_project_file_counts(project: Path, project_file: Write) -> None:
    above = project_file('default_agent = "above"')
    assert load_config() == (ConfigFile(default_agent="above"), (above,))
    near = project / "agentnb.toml"
    near.write_text('default_agent = "near"')
    assert load_config() == (ConfigFile(default_agent="near"), (near,))
    assert load_config(above.parent)[0].default_agent == "above"


def test_the_user_s_own_file_wins_entry_by_entry(project_file: Write, user_file: Write) -> None:
    mine = user_file("""
        default_agent = "of the user"
        [aliases]
        a = "seekr:one"
        b = "seekr:two"
        [platforms.seekr]
        base_url = "https://user.example"
        first_event_timeout = 7
        team_id = "t1"
    """)
    ours = project_file("""
        default_agent = "of the project"
        default_platform = "seekr"
        [aliases]
        b = "seekr:three"
        c = "seekr:four"
        [platforms.seekr]
        first_event_timeout = 8
        idle_timeout = 5
        team_id = "t2"
        [platforms.runagent]
        total_timeout = 0
    """)
    file, paths = load_config()
    assert paths == (mine, ours)
    assert file.default_agent == "of the user"
    assert file.default_platform == "seekr"
    assert file.aliases == {"a": "seekr:one", "b": "seekr:two", "c": "seekr:four"}
    assert file.platforms["seekr"].base_url == "https://user.example"
    assert file.platforms["seekr"].first_event_timeout == 7
    assert file.platforms["seekr"].idle_timeout == 5
    assert file.platforms["seekr"].options == {"team_id": "t1"}
    assert file.platforms["runagent"].total_timeout == 0


def test_one_file_can_be_named_instead(
    project_file: Write, user_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_file('default_agent = "no"')
    user_file('default_platform = "seekr"')
    named = tmp_path / "other.toml"
    named.write_text('default_agent = "yes"')
    monkeypatch.setenv("AGENTNB_CONFIG", str(named))
    assert load_config() == (ConfigFile(default_agent="yes"), (named,))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENTNB_CONFIG", "~/other.toml")
    assert load_config()[1] == (named,)
    monkeypatch.setenv("AGENTNB_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"AGENTNB_CONFIG names .*none\.toml, which is not"):
        load_config()
    monkeypatch.setenv("AGENTNB_CONFIG", "")
    assert load_config()[0].default_agent == "no"


def test_a_working_folder_that_was_deleted(
    tmp_path: Path, user_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file('default_agent = "a"')
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError):
        Path.cwd()
    assert load_config()[0].default_agent == "a"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("default_agent = ", "cannot be read: Invalid value", None),
        ('defualt_agent = "a"', "no entry 'defualt_agent'", "Did you mean 'default_agent'?"),
        ("colour = 1", "no entry 'colour'", None),
        ("default_agent = 5", "default_agent: Input should be a valid string", None),
        ("aliases = 5", "aliases: Input should be a valid dictionary", None),
        ("platforms = 5", "platforms: Input should be a valid dictionary", None),
        ("[platforms]\nseekr = 5", "platforms.seekr: Input should be", None),
        ("[platforms.seekr]\nidle_timeout = -1", "idle_timeout: Input should be greater", None),
        ("[platforms.seekr]\nidle_timeout = inf", "idle_timeout: Input should be a finite", None),
        ("[platforms.seekr]\nidle_timeout = nan", "idle_timeout: Input should be", None),
        ('[platforms.seekr]\nidle_timeout = "x"', "idle_timeout: Input should be a valid", None),
        ("[platforms.seekr]\nbase_url = 5", "base_url: Input should be a valid string", None),
    ],
)
def test_a_wrong_file(project_file: Write, text: str, message: str, hint: str | None) -> None:
    path = project_file(text)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint == hint
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8(project_file: Write) -> None:
    project_file("").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config()


@pytest.mark.parametrize(
    ("text", "place", "variable"),
    [
        ('[platforms.seekr]\napi_key = "canary"', "[platforms.seekr]", "SEEKR_API_KEY"),
        ('[platforms.my-own]\nToken = "canary"', "[platforms.my-own]", "MY_OWN_API_KEY"),
        ('[platforms.seekr]\naccessToken = "canary"', "[platforms.seekr]", "SEEKR_API_KEY"),
        ('[platforms.seekr]\nclient-secret = "canary"', "[platforms.seekr]", "SEEKR_API_KEY"),
        (
            '[platforms.seekr.headers]\nAuthorization = "canary"',
            "[platforms.seekr.headers]",
            "SEEKR_API_KEY",
        ),
        ('api_key = "canary"', "agentnb.toml", "<PLATFORM>_API_KEY"),
        ('[platforms.seekr]\nAPIKEY = "canary"', "[platforms.seekr]", "SEEKR_API_KEY"),
    ],
)
def test_a_key_in_a_file_is_refused(
    project_file: Write, text: str, place: str, variable: str
) -> None:
    project_file(text)
    with pytest.raises(ConfigError, match="keys do not belong in a file") as caught:
        load_config()
    assert place in caught.value.message
    assert variable in (caught.value.hint or "")
    assert "canary" not in str(caught.value)


def test_names_similar_to_a_key(project_file: Write) -> None:
    project_file("""
        [aliases]
        token = "seekr:token_counter"
        [platforms.seekr]
        max_tokens = 5
        monkey = "b"
        keyboard = "qwerty"
    """)
    file, _ = load_config()
    assert file.aliases == {"token": "seekr:token_counter"}
    assert file.platforms["seekr"].options == {
        "max_tokens": 5,
        "monkey": "b",
        "keyboard": "qwerty",
    }


def test_the_files_are_read_once_until_reloaded(
    project_file: Write, fresh: Callable[[], Config]
) -> None:
    project_file('default_agent = "one"')
    first = config()
    assert first.file.default_agent == "one"
    first.aliases["x"] = "seekr:x"
    first.default_platform = "seekr"
    project_file('default_agent = "two"')
    assert config() is first
    second = fresh()
    assert second.file.default_agent == "two"
    assert second.aliases == {"x": "seekr:x"}
    assert second.default_platform == "seekr"
    project_file("default_agent = ")
    with pytest.raises(ConfigError):
        fresh()
    assert config() is second


def test_a_misspelt_setting_of_a_platform(project_file: Write) -> None:
    project_file("""
        [platforms.seekr]
        idel_timeout = 5
    """)
    with pytest.raises(ConfigError, match="has no 'idel_timeout'") as caught:
        load_config()
    assert caught.value.hint == "Did you mean 'idle_timeout'?"


@pytest.mark.parametrize("kind", ["", 'type = "seekr"'])
def test_a_project_file_cannot_redirect_a_platform_s_key(project_file: Write, kind: str) -> None:
    project_file(f"""
        [platforms.seekr]
        base_url = "https://elsewhere.example"
        {kind}
    """)
    with pytest.raises(ConfigError, match="the key of 'seekr' would go there") as caught:
        load_config()
    assert "name of its own" in (caught.value.hint or "")


def test_a_connection_with_a_name_of_its_own_may_say_where_it_is(project_file: Write) -> None:
    project_file("""
        [platforms.ours]
        type = "seekr"
        base_url = "https://ours.example"
        [platforms.operativus]
        base_url = "sandbox"
    """)
    file, _ = load_config()
    assert file.platforms["ours"].base_url == "https://ours.example"

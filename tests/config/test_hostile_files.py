"""Configuration files that are written to harm: refused at once, in one readable line."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from agentnb.config import Config
from agentnb.config.environment import explain_ignored_address, read_env_keys
from agentnb.config.files import load_config
from agentnb.errors import ConfigError
from agentnb.platforms.registry import BUILTIN, load
from tests.cost import Cost

Write = Callable[[str], Path]
# Seconds of CPU.  A tenth is promised; a test machine may be slow, and the defects took many.
BOUND = 0.5

COLONS = "://:" * 20_000
HOSTILE = {
    "an address of colons for the store": f'[history]\nurl = "{COLONS}"',
    "colons and an at sign": f'[history]\nurl = "{COLONS}@"',
    "colons for a platform": f'[platforms.x]\ntype = "seekr"\nbase_url = "{COLONS}"',
    "colons in an option": f'[platforms.x]\ntype = "seekr"\noption = "{COLONS}"',
    "a name of colons": f'[platforms."{COLONS}"]\ntype = "seekr"',
    "nested arrays": "x = " + "[" * 30_000,
    "closed nested arrays": "x = " + "[" * 30_000 + "]" * 30_000,
    "nested tables": "x = " + "{a=" * 20_000,
    "a few too many levels": "x = " + "[" * 200 + "]" * 200,
    "a dotted key": ".".join("a" * 40_000) + " = 1",
    "a dotted key with blanks": " . ".join("a" * 20_000) + " = 1",
    "a dotted key of quotes": ".".join(['"a"'] * 10_000) + " = 1",
    "a dotted table": "[" + ".".join("a" * 30_000) + "]",
    "a dotted key in a table": "x = {" + ".".join("a" * 30_000) + " = 1}",
    "a long integer": "x = " + "1" * 80_000,
    "a long hexadecimal integer": "[platforms.x]\ntype = 'seekr'\nx = 0x" + "f" * 80_000,
    "a long key": "a" * 80_000 + " = 1",
    "many keys": "\n".join(f"a{n} = 1" for n in range(9_000)),
    "many options": "[platforms.seekr]\n" + "\n".join(f"idle_tim{n} = 1" for n in range(9_000)),
    "many tables": "\n".join(f"[platforms.a{n}]" for n in range(9_000)),
    "a large file": "# " + "x" * 3_000_000,
    "control characters": '"\\u001b]0;x\\u0007\\u202e" = 1',
    "control characters in a table": '[platforms.seekr."\\u001b[2J"]\napi_key = "x"',
    "control characters in a value": 'default_platform = 5\n"\\u009b2J" = 1',
    "escaped quotes": 'a = "' + '\\"' * 100_000,
    "quotes": '"' * 200_001,
    "apostrophes": "'" * 200_001,
    "pairs of quotes": 'a = """' + '""\\' * 60_000,
    "blanks": "a" + " " * 200_000 + "b",
    "blanks and letters": "a " * 100_000,
    "dots and blanks in a table": "x = { " + "a . " * 50_000,
    "no text": "\x00\x01",
    "a long type": f"[platforms.x]\ntype = '{'s' * 100_000}'",
    "control characters in a type": '[platforms.x]\ntype = "\\u001b[2J\\u202e"',
}


def use() -> None:
    """Read the files, and look at the address of ``x`` as a question to it would."""
    file, _ = load_config()
    found = Config(file=file)
    found.resolve("x:agent", list(BUILTIN))
    found.settings("x", api_key="k" * 20, ask=False)
    load(found.platform_type("x"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_file_is_refused_at_once(project_file: Write, text: str) -> None:
    project_file(text)
    with Cost() as cost, pytest.raises(ConfigError) as caught:
        use()
    assert cost.seconds < BOUND
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1_000


@pytest.mark.parametrize("entry", ["base_url", "type"])
def test_the_same_in_the_user_s_own_file(user_file: Write, entry: str) -> None:
    user_file(f'[platforms.x]\n{entry} = "{COLONS}"')
    with Cost() as cost, pytest.raises(ConfigError) as caught:
        use()
    assert cost.seconds < BOUND
    assert len(str(caught.value)) < 1_000


def test_an_address_for_the_store_with_a_password_is_found_wherever_it_is(user_file: Write) -> None:
    for url in (
        "postgresql+psycopg://jane:canary@host/db",
        "postgresql+psycopg://jane:ca:na/ry@host/db",
        "postgresql+psycopg://:canary@host/db",
        "x:///a/b://jane:canary@host",
        "postgresql+psycopg://host/db?password=canary",
        "postgresql+psycopg://host/db?sslmode=x&sslpassword=canary",
    ):
        user_file(f'[history]\nurl = "{url}"')
        with pytest.raises(ConfigError, match="holds a password"):
            load_config()
    for url in ("postgresql+psycopg://jane@host:5432/db", "sqlite:///a:b", "/tmp/a@b", "off"):
        user_file(f'[history]\nurl = "{url}"')
        assert load_config()[0].history.url == url


def test_a_long_valid_file_is_read(user_file: Write) -> None:
    names = "\n".join(f'a{n} = "seekr:agent_{n}"' for n in range(500))
    user_file(f"""
        [aliases]
        {names}
        [platforms.seekr]
        system = "{"One. Two.Three. " * 1_000}"
        limit = 9_000_000_000_000
        [platforms.seekr.a.b.c.d.e]
        f = [[1, 2], [3, [4]]]
    """)
    file, _ = load_config()
    assert len(file.aliases) == 500
    assert file.platforms["seekr"].options["limit"] == 9_000_000_000_000


MAKERS: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a circle": lambda path: path.symlink_to(path),
    "a way to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_only_regular_files_are_read(project: Path, make: Callable[[Path], object]) -> None:
    make(project / "agentnb.toml")
    with pytest.raises(ConfigError, match="is not a file"):
        load_config()


@pytest.mark.parametrize("named", ["~nobody-of-this-name/x", "x" * 5_000, "\x1b[2J", "/dev/null"])
def test_a_named_file_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("AGENTNB_CONFIG", named)
    with pytest.raises(ConfigError, match="is not a file") as caught:
        load_config()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1_000


ENV: dict[str, bytes] = {
    "many lines": b"A=1\n" * 30_000,
    "many lines of old": b"A=1\r" * 30_000,
    "many keys": b"\n".join(b"A%d_API_KEY=canary" % number for number in range(10_000)),
    "a large file": b"SEEKR_API_KEY=" + b"x" * 3_000_000,
    "a quote without end": b"SEEKR_API_KEY='" + b"\\'" * 60_000,
    "no text": b"SEEKR_API_KEY=\xff",
}


@pytest.mark.parametrize("content", ENV.values(), ids=ENV)
def test_a_hostile_env_file_is_refused_at_once(project: Path, content: bytes) -> None:
    path = project / ".env"
    path.write_bytes(content)
    with Cost() as cost, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_env_keys(path) == {}
        assert explain_ignored_address("seekr") is None
    assert cost.seconds < BOUND
    for warning in caught:
        assert str(warning.message).isprintable()


def test_an_env_file_with_a_byte_order_mark(project: Path) -> None:
    (project / ".env").write_bytes(b"\xef\xbb\xbfSEEKR_API_KEY=canary")
    assert read_env_keys(project / ".env").keys() == {"SEEKR_API_KEY"}

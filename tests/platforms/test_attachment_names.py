"""Names of attachments: what is harmless stays, and nothing leads anywhere or acts unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentnb._secrets import remember_secret
from agentnb.conversation.turns import attachment_of
from agentnb.errors import RequestError
from agentnb.platforms.base import Media
from agentnb.platforms.media import as_media
from agentnb.platforms.names import attachment_name

HARMLESS = (
    *("a.png", ".env", "Q3 report (final).pdf", "Minutes 10:30.txt"),
    *("naïve.csv", "図表.png", "отчёт.txt"),
    *("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.png", "\u2764\ufe0f.png", "a\u202fb.png"),
    *("\U0001f468\u200d\U0001f4bb.png", "\"<b>&'.html", "console.log"),
)
HOSTILE = (
    ("../../etc/passwd", "passwd"),
    ("C:\\a\\b.txt", "b.txt"),
    ("C:b.txt", "b.txt"),
    ("C: b.txt", "b.txt"),
    ("a\0\r\n\x1b[2J\x9b\u202e\u2066\u200b\ufeff\U000e0041.txt", "a[2J.txt"),
    ("a\u200d\ufe0f.txt", "a.txt"),
    ("a\ud800.txt", "a\ufffd.txt"),
    ("..", "attachment"),
    (". . .", "attachment"),
    (".\u200b./\u202e", "attachment"),
    ("a.txt. ", "a.txt"),
    ("NUL", "_NUL"),
    ("com1.txt", "_com1.txt"),
    ("x" * 10_000 + ".png", "x" * 196 + ".png"),
    ("x" * 10_000, "x" * 200),
)


@pytest.mark.parametrize(("name", "clean"), [*((n, n) for n in HARMLESS), *HOSTILE], ids=ascii)
def test_a_name_given_in_python(name: str, clean: str) -> None:
    for given in (Media(data=b"x", name=name), {"data": b"x", "name": name}):
        assert as_media(given).name == clean
    assert attachment_name(clean) == clean
    assert attachment_of(as_media(Media(data=b"x", name=name))).name == clean


def test_a_path_is_read_under_its_own_name(tmp_path: Path) -> None:
    for name, clean in (("a\n\u202e.png", "a.png"), ("a.png", None)):
        path = tmp_path / name
        path.write_bytes(b"x")
        for given in (path, str(path), {"path": path}):
            media = as_media(given)
            assert (media.path, media.name) == (path, clean)


def test_a_key_in_a_name() -> None:
    key = "canary-7f3a9c51e8d24b60"
    remember_secret(key)
    for name in (f"{key}.png", f"canary-\u200b{key[7:]}.png"):
        assert as_media(Media(data=b"x", name=name)).name == "***.png"


def test_a_name_that_comes_from_an_address() -> None:
    for url, name in (
        ("https://example.com/a%0A%E2%80%AE..%2Fb.png", "b.png"),
        ("DATA:text/plain,a/b", "attachment"),
        ("http://[", "attachment"),
    ):
        assert attachment_of(Media(url=url)).name == name


def test_a_name_of_another_type() -> None:
    with pytest.raises(RequestError, match="name is text"):
        as_media(Media(data=b"x", name=5))  # pyright: ignore[reportArgumentType]

"""Names of attachments: what is harmless stays, and nothing leads anywhere or acts unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import agentnb
from agentnb import history
from agentnb.conversation.turns import attachment_of
from agentnb.errors import RequestError
from agentnb.platforms.base import Media
from agentnb.platforms.local import FunctionContext
from agentnb.platforms.media import as_media
from agentnb.platforms.names import attachment_name
from agentnb.redaction.secrets import remember_secret

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


TYPES = (
    *("image/png", "text/plain; charset=utf-8", "application/vnd.ms-excel", "image/*"),
    *("text/x-prices", "image/svg+xml", "application/vnd.a.b-c+json;version=1"),
)
NO_TYPES = (
    *(
        "image/png\r\nX-Evil: 1",
        "image/png\0",
        "\x1b[2Jimage/png",
        "image/\u202egnp",
    ),
    *("image/png;base64,AAAA\r\nx", "image/png\ud800", "png", "a/b/c", "image/" + "x" * 10_000),
    *('image/png"><img src=x>', "image/png, text/html", "../image/png", "image/png; \u200b"),
)


def test_types_that_go_into_requests_and_views() -> None:
    for kind in TYPES:
        assert as_media(Media(data=b"x", mime_type=kind)).mime_type == kind
    for kind in NO_TYPES:
        for given in (Media(data=b"x", mime_type=kind), {"data": b"x", "type": kind}):
            with pytest.raises(RequestError) as caught:
                as_media(given)
            shown = f"{caught.value} {caught.value.message}"
            assert shown.isprintable()
            assert len(shown) < 300


def test_names_from_a_question_to_every_file(tmp_path: Path) -> None:
    key = "canary-1c9a3f5b7d2e4680"
    remember_secret(key)
    signed = f"https://me:{key}@example.com/a.png?X-Signature=canary-signed&size=2"

    def see(prompt: str, context: FunctionContext) -> str:
        return "seen"

    names = [*(name for name, _ in HOSTILE), f"{key}.png", "</script><img src=x>\u202e"]
    media = [*(Media(data=b"x", name=name) for name in names), Media(url=signed)]
    history.use(tmp_path / "history.sqlite")
    agent = agentnb.agent(see)
    with agentnb.record(tmp_path / "tape.jsonl"):
        run = agent.run("hi", media=media)
    with agentnb.playback(tmp_path / "tape.jsonl"):
        assert agent.run("hi", media=media).text == "seen"
    history.flush()
    for path in ("run.json", "run.md", "run.html"):
        run.export(tmp_path / path)
    history.export_history(tmp_path / "history.jsonl")
    history.export_history(tmp_path / "history.parquet")
    loaded = history.load(run.id)
    shown = [each.name for each in loaded.request.media]
    assert shown[:-1] == [*(clean for _, clean in HOSTILE), "***.png", "script><img src=x>"]
    chat = agentnb.chat(run)
    (tmp_path / "chat.json").write_text(json.dumps(chat.get_state(), default=str), "utf-8")
    chat.close()
    printed = repr(loaded.request) + str(chat.messages)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 6
    for content in (printed.encode(), *(path.read_bytes() for path in files)):
        for secret in ("passwd/", "etc/passwd", key, "canary-signed", "x" * 201):
            assert secret.encode() not in content
        for unseen in ("\x1b[2J", "\u202e", "\\u202e", "\\u001b[2J", "\u200b"):
            assert unseen.encode() not in content

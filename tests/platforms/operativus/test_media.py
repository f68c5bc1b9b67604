"""Attachments from files, bytes and addresses."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from agentnb.errors import RequestError
from agentnb.platforms.base import Media
from agentnb.platforms.operativus.request import media_inputs

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


async def made(*items: Media, max_bytes: int = 1000) -> list[tuple[str, str]]:
    return [(i.type, i.data) for i in await media_inputs(items, max_bytes=max_bytes)]


async def test_a_file_is_sent_in_base64_with_the_type_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b"NVDA,875.40\n")
    assert await made(Media(path=path)) == [
        ("text/csv", base64.b64encode(b"NVDA,875.40\n").decode())
    ]
    assert await made(Media(path=path, mime_type="text/x-prices")) == [
        ("text/x-prices", base64.b64encode(b"NVDA,875.40\n").decode())
    ]


@pytest.mark.parametrize(
    ("content", "mime_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
    ],
    ids=["png", "jpeg", "gif", "pdf", "webp", "wav"],
)
async def test_the_type_of_bytes_is_guessed_from_their_start(
    content: bytes, mime_type: str
) -> None:
    assert await made(Media(data=content)) == [(mime_type, base64.b64encode(content).decode())]


async def test_the_type_of_bytes_is_guessed_from_their_name() -> None:
    assert await made(Media(data=b"x", name="notes.txt")) == [("text/plain", "eA==")]
    assert await made(Media(data=b"", mime_type="text/plain")) == [("text/plain", "")]


async def test_an_address_is_sent_as_it_is() -> None:
    address = "https://example.org/charts/nvda.jpeg?size=2#top"
    assert await made(Media(url=address)) == [("image/jpeg", address)]
    assert await made(Media(url="http://example.org/x", mime_type="audio/ogg")) == [
        ("audio/ogg", "http://example.org/x")
    ]


async def test_a_data_address_is_taken_apart() -> None:
    assert await made(Media(url="data:image/gif;base64,R0lGODlh")) == [("image/gif", "R0lGODlh")]
    assert await made(Media(url="data:text/plain;charset=utf-8,a%20b")) == [
        ("text/plain", base64.b64encode(b"a b").decode())
    ]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (Media(), "exactly one"),
        (Media(data=b"x", url="https://example.org/a.png"), "exactly one"),
        (Media(data=b"what is this"), "type"),
        (Media(url="https://example.org/thing"), "type"),
        (Media(url="file:///etc/passwd"), "begins with"),
        (Media(url="https:///a.png"), "begins with"),
        (Media(url="http://[::1/a.png"), "begins with"),
        (Media(url="data:image/png;base64"), "no data"),
        (Media(url="data:image/png;base64,!!!"), "base64"),
        (Media(path=Path("/no/such/file.png")), "does not exist"),
        (Media(path=Path("nul\0.png")), "attachment"),
        (Media(data=b"\0" * 1001, mime_type="a/b"), "larger"),
        (Media(url="data:a/b," + "x" * 1001), "larger"),
    ],
    ids=[
        *("nothing", "both", "unknown-bytes", "unknown-address", "file-address", "no-host"),
        *("broken-host", "no-data", "no-base64", "missing", "nul", "large", "large-data"),
    ],
)
async def test_a_wrong_attachment_is_refused(item: Media, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        await made(item)


async def test_the_bound_holds_for_all_attachments_together(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"x" * 600)
    assert len(await made(Media(path=path))) == 1
    with pytest.raises(RequestError, match="1,000 bytes together"):
        await made(Media(path=path), Media(path=path))
    with pytest.raises(RequestError, match="larger"):
        await made(Media(path=path), max_bytes=599)


async def test_a_folder_is_no_attachment(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="folder"):
        await made(Media(path=tmp_path))

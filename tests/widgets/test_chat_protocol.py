"""What a page may say to a chat, and what is made of what it may not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentnb.conversation import Attachment
from agentnb.errors import RequestError
from agentnb.platforms.base import MediaSupport
from agentnb.widgets.chat_protocol import MAX_CHUNK, SentAttachment, parse_chat_message
from agentnb.widgets.uploads import Uploads

SEND: dict[str, Any] = {
    "type": "send",
    "id": "t1",
    "parent": None,
    "text": "hi",
    "attachments": [{"upload": "u", "name": "a", "mime_type": None, "size": 1, "preview": None}],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=9,
)
KINDS = ("send", "again", "show", "new", "sessions", "open", "upload", "run", "resync")


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"type": "delete"},
        {**SEND, "id": 1},
        {**SEND, "id": ""},
        {**SEND, "id": "x" * 101},
        {**SEND, "id": "a b"},
        {**SEND, "parent": 1},
        {**SEND, "text": None},
        {**SEND, "text": "x" * 1_000_001},
        {**SEND, "attachments": None},
        {**SEND, "attachments": [{"upload": "u"}]},
        {**SEND, "attachments": [1]},
        {**SEND, "attachments": SEND["attachments"] * 101},
        {**SEND, "keep": 3},
        {**SEND, "edit": 3},
        {"type": "again", "id": "a"},
        {"type": "show", "id": "a", "turn": None},
        {"type": "open", "id": "a", "key": 3},
        {"type": "open", "id": "a", "key": "x" * 1001},
        {"type": "upload", "upload": "u", "index": -1, "last": True},
        {"type": "upload", "upload": "u", "index": True, "last": True},
        {"type": "upload", "upload": "u", "index": 0, "last": 1},
        {"type": "run", "turn": "t"},
    ],
    ids=repr,
)
def test_what_is_no_message(message: object) -> None:
    assert parse_chat_message(message) is None


def test_what_is_one() -> None:
    parsed = parse_chat_message(SEND)
    assert parsed is not None
    assert parsed["type"] == "send"
    assert parsed["attachments"][0]["attachment"].name == "a"


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(sorted(SEND)), JSON), JSON)
def test_anything_is_parsed_or_dropped(kind: str, fields: dict[str, Any], other: Any) -> None:
    for content in (other, {**SEND, **fields, "type": kind, "turn": other, "key": other}):
        parsed = parse_chat_message(content)
        assert parsed is None or parsed["type"] in KINDS


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\a\\b.txt", "b.txt"),
        ("a\nb\u202e.txt", "ab.txt"),
        ("..", "attachment"),
        ("", "attachment"),
        ("x" * 300, "x" * 200),
    ],
    ids=repr,
)
def test_a_file_name_leads_nowhere(name: str, shown: str) -> None:
    assert attachment(name=name).name == shown


@pytest.mark.parametrize(
    "preview",
    [
        "data:image/svg+xml;base64,AAAA",
        "https://example.com/a.png",
        'data:image/png;base64,AA"onload=',
        "data:image/png;base64," + "A" * 16_384,
        3,
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_preview_is_a_small_picture(preview: object) -> None:
    assert attachment(preview=preview).preview is None


def test_a_mime_type_is_one() -> None:
    assert attachment(mime_type="text/html; x=\r\ny").mime_type is None
    assert attachment(mime_type="image/png").mime_type == "image/png"


def attachment(**fields: Any) -> Any:
    item = {**SEND["attachments"][0], **fields}
    parsed = parse_chat_message({**SEND, "attachments": [item]})
    assert parsed is not None
    assert parsed["type"] == "send"
    return parsed["attachments"][0]["attachment"]


# -- uploads -------------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(clock: Clock) -> Uploads:
    support = MediaSupport(max_bytes=10, max_count=2)
    return Uploads(lambda: support, clock=clock, limit=15)


def sent(*names: str) -> list[SentAttachment]:
    return [{"upload": name, "attachment": attachment(name=name)} for name in names]


def test_a_file_is_held_until_it_is_sent(uploads: Uploads) -> None:
    uploads.add("a", 0, last=False, buffers=[b"12"])
    uploads.add("a", 1, last=True, buffers=[memoryview(b"345")])
    assert uploads.size == 5
    assert [media.data for media in uploads.take(sent("a"))] == [b"12345"]
    assert uploads.size == 0
    with pytest.raises(RequestError, match="not received whole"):
        uploads.take(sent("a"))


def test_one_file_is_bounded(uploads: Uploads) -> None:
    uploads.add("a", 0, last=False, buffers=[b"x" * 9])
    uploads.add("a", 1, last=True, buffers=[b"xx"])
    assert uploads.size == 0
    with pytest.raises(RequestError, match="'a' is larger than"):
        uploads.take(sent("a"))


def test_all_files_together_are_bounded(uploads: Uploads) -> None:
    uploads.add("a", 0, last=True, buffers=[b"x" * 9])
    uploads.add("b", 0, last=True, buffers=[b"x" * 9])
    assert uploads.size == 9
    with pytest.raises(RequestError, match="'b' is too much"):
        uploads.take(sent("a", "b"))
    assert uploads.size == 0


def test_their_number_is_bounded(uploads: Uploads) -> None:
    for name in "abcdef":
        uploads.add(name, 0, last=True, buffers=[b"x"])
    assert uploads.size == 4
    with pytest.raises(RequestError, match="At most 2 files"):
        uploads.take(sent("a", "b", "c"))


@pytest.mark.parametrize("index", [1, 7])
def test_a_missing_piece_is_noticed(uploads: Uploads, index: int) -> None:
    uploads.add("a", index, last=True, buffers=[b"x"])
    with pytest.raises(RequestError, match="not received whole"):
        uploads.take(sent("a"))


@pytest.mark.parametrize(
    "buffers", [[], [b"a", b"b"], ["text"], [b"x" * (MAX_CHUNK + 1)]], ids=["0", "2", "str", "big"]
)
def test_a_piece_is_one_buffer(buffers: list[Any]) -> None:
    uploads = Uploads(lambda: MediaSupport(max_bytes=10 * MAX_CHUNK, max_count=2))
    uploads.add("a", 0, last=True, buffers=buffers)
    with pytest.raises(RequestError, match="not received whole"):
        uploads.take(sent("a"))


def test_abandoned_files_are_dropped(uploads: Uploads, clock: Clock) -> None:
    uploads.add("a", 0, last=False, buffers=[b"x" * 9])
    clock.now = 121.0
    uploads.add("b", 0, last=True, buffers=[b"x" * 9])
    assert uploads.size == 9


def test_a_platform_that_takes_none_is_sent_none() -> None:
    uploads = Uploads(lambda: None)
    uploads.add("a", 0, last=True, buffers=[b"x"])
    assert uploads.size == 0


def test_a_file_of_another_kind_is_refused() -> None:
    support = MediaSupport(accept=("image/*",), max_bytes=10, max_count=2)
    uploads = Uploads(lambda: support)
    for name, mime in (("a.exe", "application/x-msdownload"), ("b.csv", None)):
        uploads.add("u", 0, last=True, buffers=[b"1"])
        with pytest.raises(RequestError, match=r"of a kind that is not taken here: image/\* are"):
            uploads.take([{"upload": "u", "attachment": Attachment(name=name, mime_type=mime)}])
    uploads.add("u", 0, last=True, buffers=[b"1"])
    [taken] = uploads.take([{"upload": "u", "attachment": Attachment(name="c.png")}])
    assert taken.data == b"1"


def test_those_that_are_kept_count_too(uploads: Uploads) -> None:
    uploads.add("u", 0, last=True, buffers=[b"1"])
    with pytest.raises(RequestError, match="At most"):
        uploads.take([{"upload": "u", "attachment": Attachment(name="a")}], other_files=99)


def test_empty_pieces_are_not_gathered(uploads: Uploads) -> None:
    uploads.add("u", 0, last=False, buffers=[b""])
    uploads.add("v", 0, last=True, buffers=[b""])
    [taken] = uploads.take([{"upload": "v", "attachment": Attachment(name="empty")}])
    assert taken.data == b""
    with pytest.raises(RequestError, match="not received whole"):
        uploads.take([{"upload": "u", "attachment": Attachment(name="a")}])


def test_a_file_outlives_a_kernel_that_was_busy(uploads: Uploads, clock: Clock) -> None:
    uploads.add("u", 0, last=False, buffers=[b"1"])
    clock.now += 1000
    uploads.add("u", 1, last=True, buffers=[b"2"])
    [taken] = uploads.take([{"upload": "u", "attachment": Attachment(name="a")}])
    assert taken.data == b"12"

"""What a recording must not hold, and how much of one is held in memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import pytest
from pydantic import SecretStr

import agentnb
from agentnb.cassettes.playback import Playback
from agentnb.errors import InvalidRequestError, NotRecordedError, PlaybackError
from agentnb.event.types import RunFinished, TextDelta
from agentnb.platforms.base import Capabilities, Media, MediaSupport, RunRequest
from agentnb.redaction.secrets import remember_secret
from tests.played import STARTED, Batches, PlayedPlatform, player

# Such a key stands otherwise in an address.
KEY: Final = "canary/5f1e+0a7c=2b"
UNKNOWN: Final = "5ig-of-nobody-knows"
TAKES: Final = Capabilities(media=MediaSupport(max_bytes=10**6, max_count=9), attach=True)
ADDRESS: Final = "https://user:{0}@files.example/a%20b.pdf?page=2&X-Amz-Signature={0}&sig={0}"
SIGNED: Final = f"{ADDRESS}&api_key={{0}}&Signature={{0}}#access_token={{0}}"


async def answers(request: RunRequest) -> Batches:
    yield [STARTED, TextDelta("It is."), RunFinished()]


async def fails(request: RunRequest) -> Batches:
    yield [STARTED]
    raise InvalidRequestError(
        f"Refused {KEY}",
        hint=f"Not {KEY}",
        code=KEY,
        request_id=KEY,
        excerpt=f'{{"Authorization": "Bearer {KEY}"}}',
    )


def questions(key: str) -> list[dict[str, Any]]:
    """Return questions that hold ``key`` somewhere."""
    return [
        {"media": Media(url=SIGNED.format(key), mime_type="application/pdf")},
        {"media": {"url": SIGNED.format(key), "name": f"../x/{KEY}\u202e.pdf"}},
        {"media": Media(url=f"https://files.example/get?q={quote_plus(KEY)}")},
        {"media": Media(url=f"https://files.example/{KEY}/a")},
        {"media": Media(data=KEY.encode(), name=f"a\x1b[31m{KEY}")},
        {"headers": {"Authorization": f"Bearer {key}", "x": [f"key {KEY}"]}, "api_key": key},
        {"metadata": {KEY: [{"deep": KEY}], "password": key}},
    ]


def test_keys(tape: Path) -> None:
    remember_secret(SecretStr(KEY))
    asked = questions(UNKNOWN)
    agent = player(PlayedPlatform(answers, capabilities=TAKES))
    with agentnb.record(tape):
        for each in asked:
            agent.run(f"What is in {KEY}?", **each)
        failed = player(PlayedPlatform(fails, capabilities=TAKES)).run("Fail", check=False)
        assert failed.status == "failed"
    text = tape.read_text(encoding="utf-8")
    for form in (KEY, quote(KEY), quote(KEY, safe=""), UNKNOWN, "5f1e", "\u202e", "\\u001b"):
        assert form not in text
    assert "page=2" in text
    with agentnb.playback(tape) as played:
        # Signed anew it is the same attachment.
        for each in questions("another-signature"):
            assert agent.run(f"What is in {KEY}?", **each).text == "It is."
        assert isinstance(played, Playback)
        assert played.left == 1


def test_an_earlier_recording_of_an_address(tape: Path) -> None:
    """Play a file that has an attachment's address and name as they were given."""
    agent = player(PlayedPlatform(answers, capabilities=TAKES))
    media = Media(url=SIGNED.format("1"), name="a.pdf", mime_type="application/pdf")
    with agentnb.record(tape):
        agent.run("What is it?", media=media)
    lines = [json.loads(line) for line in tape.read_text(encoding="utf-8").splitlines()]
    lines[-1]["asked"]["media"][0] |= {"url": SIGNED.format("2"), "name": "x/a\u202e.pdf"}
    tape.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with agentnb.playback(tape):
        assert agent.run("What is it?", media=media).text == "It is."


@pytest.mark.parametrize("odd", ["a\x1b[31m\u202e\x9b\nb", "x" * 1_000_000])
def test_messages_name_what_is_missing_in_one_line(tape: Path, odd: str) -> None:
    def agent(name: str) -> agentnb.Agent:
        return agentnb.Agent(PlayedPlatform(answers, capabilities=TAKES), name)

    with agentnb.record(tape):
        agent(odd).run("Hello", session=odd, metadata={odd: 1})
    with agentnb.playback(tape) as played:
        calls = [
            lambda: agent("other").run(odd, metadata={odd: 2}),
            lambda: agent(odd).run("Hello", session="s", metadata={odd: 1}),
            lambda: agent(odd).attach(odd),
        ]
        for call in calls:
            with pytest.raises(NotRecordedError) as raised:
                call().wait()
            assert str(raised.value).isprintable()
            assert len(str(raised.value)) < 1_500
        with pytest.raises(PlaybackError) as missing:
            played.platform(odd)  # pyright: ignore[reportAttributeAccessIssue]
        assert str(missing.value).isprintable()
        assert len(str(missing.value)) < 500


def test_a_long_recording_is_read_run_by_run(tape: Path) -> None:
    async def long(request: RunRequest) -> Batches:
        yield [STARTED, TextDelta(request.prompt * 500_000), RunFinished()]

    agent = player(PlayedPlatform(long))
    with agentnb.record(tape):
        for number in range(20):
            agent.run(str(number % 10))
    assert tape.stat().st_size > 10_000_000
    tracemalloc.start()
    try:
        played = agentnb.playback(tape)
        assert agent.run("7").text == "7" * 500_000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()
    assert isinstance(played, Playback)
    tape.write_bytes(b"x" * tape.stat().st_size)
    with pytest.raises(NotRecordedError, match=r"Line \d+ of answers.jsonl was changed"):
        agent.run("8")

"""What goes along with talking: files, approvals, the clipboard, what was recorded."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FilePayload, Locator, expect

from tests.ui.axe import check_accessible
from tests.ui.chatting import ChatOnPage
from tests.ui.frontend import NotebookPage
from tests.ui.opener import Opener
from tests.ui.test_privacy import ACTIVE, unfold

ATTACKS = Path(__file__).parents[1] / "conformance" / "model_output_attacks.json"
ASK_ECHO = 'chat = agentnb.chat("operativus:echo", base_url="sandbox")\nchat'
PICTURE = re.compile(r"^data:image/(webp|png|jpeg);base64,")

# Brings files to an element as a person does who drops or pastes them.
BRING = """(element, [how, files]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const options = { bubbles: true, cancelable: true, composed: true };
  if (how === 'paste') {
    element.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: data }));
    return;
  }
  for (const name of ['dragenter', 'dragover', 'drop'])
    element.dispatchEvent(new DragEvent(name, { ...options, dataTransfer: data }));
}"""


def bring(chat: ChatOnPage, how: str, name: str, kind: str, content: bytes) -> None:
    files = [[name, kind, base64.b64encode(content).decode()]]
    chat.field.evaluate(BRING, [how, files])


def file(name: str, kind: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": kind, "buffer": content}


def picture(side: int = 60) -> bytes:
    """Return a PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return len(data).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    rows = (b"\0" + b"\x30\x90\xe0" * side) * side
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def clipboard(context: BrowserContext, page: NotebookPage) -> Callable[[], str]:
    """Reads what was copied."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])

    def read() -> str:
        text: str = page.page.evaluate("navigator.clipboard.readText()")
        return text

    return read


def test_files_reach_the_agent_whole(notebook: Opener) -> None:
    page = notebook("agentnb.chat(Weigh)")
    page.run(1)
    chat = ChatOnPage(page, 1)
    # More than a few pieces; nothing that would come out right in another order.
    large = random.Random(7).randbytes(3_000_000)
    image = picture()
    cards = chat.element.get_by_role("list", name="Attachments of the next question")
    with page.page.expect_file_chooser() as chosen:
        chat.button("Attach files").click()
    chosen.value.set_files(
        [file("figures.bin", "application/octet-stream", large), file("a.txt", "text/plain", b"a")]
    )
    bring(chat, "paste", "pasted.png", "image/png", image)
    bring(chat, "drop", "dropped.csv", "text/csv", b"a,b\n1,2\n")
    expect(cards.get_by_role("listitem")).to_have_count(4)
    expect(cards).to_contain_text("3 MB")
    # A picture is shown, and by nothing that asks the network.
    expect(cards.locator("img")).to_have_count(1)
    expect(cards.locator("img")).to_have_attribute("src", PICTURE)
    chat.button("Remove a.txt").click()
    expect(cards.get_by_role("listitem")).to_have_count(3)
    expect(chat.field).to_be_focused()
    chat.keyboard.type("Weigh them")
    chat.keyboard.press("Enter")
    chat.until(1)
    expect(cards.get_by_role("listitem")).to_have_count(0)
    expect(chat.answer(1)).to_contain_text("Weigh them: 3")
    for name, kind, content in (
        ("figures.bin", "application/octet-stream", large),
        ("pasted.png", "image/png", image),
        ("dropped.csv", "text/csv", b"a,b\n1,2\n"),
    ):
        digest = hashlib.sha256(content).hexdigest()
        expect(chat.answer(1)).to_contain_text(f"{name} {kind} {len(content)} {digest}")
    asked = chat.turn(1).get_by_role("list", name="Attachments", exact=True)
    expect(asked.get_by_role("listitem")).to_have_count(3)
    expect(asked.locator("img")).to_have_attribute("src", PICTURE)

    # They go along with another answer, and may be left out of another question.
    chat.button("Regenerate answer 1").click()
    expect(chat.turn(1)).to_contain_text("2 / 2")
    chat.until(1)
    expect(chat.answer(1)).to_contain_text(hashlib.sha256(large).hexdigest())
    chat.button("Edit question 1").click()
    chat.button("Leave out its attachments").click()
    chat.field.press("Enter")
    expect(chat.turn(1)).to_contain_text("3 / 3")
    chat.until(1)
    expect(chat.answer(1)).to_have_text("Weigh them: 0")
    assert page.foreign == []
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_files_that_are_not_taken_are_refused_with_a_reason(notebook: Opener) -> None:
    page = notebook(
        'agentnb.chat("seekr:finance_agent", base_url="sandbox")',
        'agentnb.chat("runagent:echo", base_url="sandbox")',
    )
    page.run(1)
    page.run(2)
    pictures, none = ChatOnPage(page, 1), ChatOnPage(page, 2)
    pictures.field.fill("What is this?")
    bring(pictures, "drop", "table.csv", "text/csv", b"a,b")
    expect(pictures.note).to_have_text("Not attached: table.csv. This agent takes image/*.")
    for number in range(11):
        bring(pictures, "paste", f"{number}.png", "image/png", picture(4))
    expect(pictures.note).to_contain_text("10.png. At most 10 files go with a question")
    expect(pictures.element.get_by_role("listitem")).to_have_count(10)
    expect(pictures.field).to_have_value("What is this?")

    bring(none, "drop", "table.csv", "text/csv", b"a,b")
    expect(none.note).to_contain_text("does not take attachments")
    expect(none.element.get_by_role("listitem")).to_have_count(0)
    # The button says so, too, and opens nothing.
    attach = none.element.locator(".agentnb-chat-attach")
    expect(attach).to_have_attribute("aria-disabled", "true")
    expect(attach).to_have_accessible_name(none.note.inner_text())
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_approvals_are_given_and_denied(
    notebook: Opener, shot: Callable[[Locator, str], None]
) -> None:
    page = notebook(ASK_ECHO, "print([m['status'] for m in chat.messages[1::2]])")
    page.run(1)
    chat = ChatOnPage(page, 1)
    question = json.dumps({"approval": "May I say it?", "text": "It was said."})
    chat.ask(question)
    chat.until(1, "paused")
    expect(chat.run(1).get_by_role("list", name="Waiting for approval")).to_contain_text(
        "May I say it?"
    )
    expect(chat.answer(1)).to_have_count(0)
    shot(chat.element, "chat-10-approval-light-1000")
    check_accessible(chat.element)
    chat.button("Approve echo_tool").click()
    chat.until(1)
    expect(chat.answer(1)).to_have_text("It was said.")
    expect(chat.button("Approve echo_tool")).to_have_count(0)

    chat.ask(question)
    chat.until(2, "paused")
    chat.button("Deny echo_tool").press("Enter")
    chat.until(2, "cancelled")
    expect(chat.answer(2)).to_have_count(0)
    chat.say(3, "And it goes on.")
    expect(chat.answer(3)).to_have_text("And it goes on.")
    page.run(2)
    assert page.outputs(2)[0]["text"] == "['completed', 'cancelled', 'completed']\n"
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_what_is_copied_and_what_was_recorded(
    notebook: Opener, clipboard: Callable[[], str]
) -> None:
    page = notebook("chat = agentnb.chat(Scribe)\nchat", "print(chat.messages[1]['content'])")
    page.run(1)
    chat = ChatOnPage(page, 1)
    chat.say(1, "How was the\nquarter?")
    page.run(2)
    answer = page.outputs(2)[0]["text"].strip()
    code = answer.partition("```python\n")[2].partition("\n```")[0]

    chat.run(1).locator("pre").get_by_role("button").click()
    expect(chat.element.locator("> .agentnb-said")).to_have_text("Copied")
    assert clipboard() == code
    chat.button("Copy as Markdown").press("Enter")
    page.page.wait_for_function(
        "(text) => navigator.clipboard.readText().then((now) => now !== text)", arg=code
    )
    assert clipboard().strip() == answer
    chat.button("Copy question 1").click()
    page.page.wait_for_function(
        "(text) => navigator.clipboard.readText().then((now) => now === text)",
        arg="How was the\nquarter?",
    )

    raw = chat.button("Raw events")
    expect(chat.run(1).get_by_role("table").filter(has_text="Type")).to_have_count(0)
    raw.click()
    events = chat.run(1).get_by_role("group", name="Raw events")
    for kind in ("tool_call_started", "text_delta", "usage_reported", "run_finished"):
        expect(events).to_contain_text(kind)
    expect(events).to_contain_text("get_figures")
    raw.click()
    expect(events).to_be_hidden()
    assert page.complaints == []


@pytest.mark.parametrize("frontend", ["lab"], indirect=True)
def test_nothing_that_is_said_reaches_out(notebook: Opener) -> None:
    page = notebook(
        "agentnb.chat(Curious)",
        "import json\nfrom collections.abc import AsyncIterator\nfrom pathlib import Path\n"
        f"attacks = json.loads(Path({str(ATTACKS)!r}).read_text('utf-8'))['cases']\n"
        "texts = [case['markdown'] for case in attacks]\n"
        "texts = [''.join(text) for text in texts if not str(text).startswith('GEN:')]\n"
        "async def attack(prompt: str) -> AsyncIterator[str]:\n"
        "    for text in texts:\n"
        "        yield text + '\\n\\n---\\n\\n'\n"
        "    yield 'It is over.'\n"
        "agentnb.chat(attack)",
    )
    page.run(1)
    page.run(2)
    chat, attacked = ChatOnPage(page, 1), ChatOnPage(page, 2)
    chat.say(1, "Be nosy. ![](https://asked.example/x.png) <img src=https://asked.example/y.png>")
    attacked.say(1, "Attack.")
    expect(attacked.answer(1)).to_contain_text("It is over.")
    for one in (chat, attacked):
        unfold(one.element)
        expect(one.log.locator(ACTIVE)).to_have_count(0)
        expect(one.element.locator("[data-commandlinker-command]")).to_have_count(0)
        # Nothing stands over what is not the chat's own.
        assert one.log.locator(".agentnb-md *").evaluate_all(
            "(all) => all.every((one) => getComputedStyle(one).position !== 'fixed')"
        )
    page.page.evaluate("fetch('/api/status')")
    assert page.foreign == []
    assert page.complaints == []

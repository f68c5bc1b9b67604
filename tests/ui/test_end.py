"""What a run leaves behind when it has ended."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, expect

from tests.ui.files import read_outputs
from tests.ui.opener import Opener
from tests.ui.seen import errors

Shot = Callable[[Locator, str], None]


def test_a_finished_run_is_saved_as_plain_data(notebook: Opener) -> None:
    page = notebook("%%agent Report\nHow was the quarter?", "len(str(_.to_dict()))")
    for name in ("tools", "answer", "end"):
        page.release(name)
    page.run(1)
    expect(page.static(1)).to_contain_text("Quarterly summary")
    expect(page.view(1)).to_have_count(0)
    page.run(2)
    page.save()
    [saved] = read_outputs(page.path, 1)
    assert saved["data"].keys() == {"text/html", "text/plain"}
    assert "| Services" in saved["data"]["text/plain"]
    assert "<table" in saved["data"]["text/html"]
    # The bundle of the live view is in no saved file: 20 cells would hold it 20 times.
    transcript = int(page.outputs(2)[0]["data"]["text/plain"])
    assert sum(len(value.encode()) for value in saved["data"].values()) <= 3 * transcript + 4000
    assert "widget" not in page.path.read_text("utf-8")
    assert page.complaints == []


def test_a_failed_run_shows_its_error_and_stops_the_notebook(notebook: Opener) -> None:
    page = notebook("%%agent Failing\nShow me.", "print('ran')")
    page.start_all(1)
    expect(page.view(1).get_by_role("log")).to_contain_text("The figures are as follows")
    page.release("fail")
    page.until_idle()
    expect(page.static(1)).to_contain_text("The figures are as follows")
    expect(page.static(1)).to_contain_text("The model is overloaded.")
    expect(page.static(1)).to_contain_text("OVERLOADED")
    assert errors(page, 1) == ["RunFailedError"]
    expect(page.output(1).locator(".jp-RenderedText")).to_contain_text("The model is overloaded.")
    assert page.prompt(2) == "[ ]:"


def test_an_answer_of_another_form_says_so_below_it(notebook: Opener, shot: Shot) -> None:
    define = (
        "from pydantic import BaseModel\n"
        "class City(BaseModel):\n    name: str\n"
        "def weather(prompt):\n    return 'It is sunny in Bern.'"
    )
    says = "The answer does not match `City`: invalid JSON."
    page = notebook(define, "%%agent weather --output-type City\nBern")
    page.run(1)
    page.run(2)
    static = page.static(2)
    expect(static).to_contain_text("It is sunny in Bern.")
    expect(static).to_contain_text(says)
    expect(static).to_contain_text("Completed")
    shot(page.output(2), "not-parsed")
    assert errors(page, 2) == []

"""A chat that is open in a notebook's cell, and what a person does with it."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.ui.frontend import NotebookPage
from tests.ui.marimo_page import MarimoPage

ENDED = ("completed", "failed", "cancelled", "truncated", "interrupted")


class ChatOnPage:
    """The first chat in the output of a cell; questions count from 1, as the view counts them."""

    def __init__(self, page: NotebookPage | MarimoPage, cell: int) -> None:
        self.keyboard = page.page.keyboard
        self.element: Locator = page.cell(cell).locator(".agentnb-chat")
        self.field: Locator = self.element.get_by_role("textbox")
        self.log: Locator = self.element.get_by_role("log")
        self.note: Locator = self.element.locator("> .agentnb-chat-note")
        self.turns: Locator = self.log.get_by_role("article")

    def button(self, name: str) -> Locator:
        return self.element.get_by_role("button", name=name, exact=True)

    def turn(self, number: int) -> Locator:
        return self.element.get_by_role("article", name=f"Question {number}", exact=True)

    def run(self, number: int) -> Locator:
        """The view of the run that answers a question."""
        return self.turn(number).locator(".agentnb-compact")

    def answer(self, number: int) -> Locator:
        return self.run(number).locator(".agentnb-md")

    def ask(self, text: str) -> None:
        """Write a question and send it; returns at once."""
        self.field.click()
        self.keyboard.insert_text(text)
        self.keyboard.press("Enter")

    def until(self, number: int, status: str = "completed") -> None:
        """Wait until the answer to a question has come to this status, and no other follows."""
        expect(self.turns).to_have_count(number)
        expect(self.run(number)).to_have_attribute("data-status", status)
        if status in ENDED:
            expect(self.button("Send")).to_be_visible()

    def say(self, number: int, text: str) -> None:
        """Ask, and wait for the whole answer."""
        self.ask(text)
        self.until(number)

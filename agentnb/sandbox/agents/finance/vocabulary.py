"""Finding companies in a question, by ticker, by name, and nearly by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from agentnb.sandbox.agents.finance.prices import NAMES

__all__ = ["Mentions", "find_companies"]

_ALIASES: Final = {
    "nvidia": "NVDA",
    "nvda": "NVDA",
    "nvida": "NVDA",
    "advanced micro devices": "AMD",
    "amd": "AMD",
    "apple": "AAPL",
    "aapl": "AAPL",
    "microsoft": "MSFT",
    "msft": "MSFT",
    "alphabet": "GOOGL",
    "google": "GOOGL",
    "googl": "GOOGL",
    "goog": "GOOGL",
    "amazon": "AMZN",
    "amzn": "AMZN",
    "meta platforms": "META",
    "meta": "META",
    "facebook": "META",
    "tesla": "TSLA",
    "telsa": "TSLA",
    "tsla": "TSLA",
    "intel": "INTC",
    "intc": "INTC",
    "jpmorgan chase": "JPM",
    "jp morgan": "JPM",
    "j.p. morgan": "JPM",
    "jpmorgan": "JPM",
    "jpm": "JPM",
}
# Companies that people ask about and the sample does not have.
_OTHERS: Final = frozenset(
    re.findall(
        r"\S+",
        """
        adobe airbnb alibaba arm asml berkshire boeing broadcom cisco coca-cola disney exxon ford
        ibm mastercard micron netflix nike nintendo nokia oracle palantir paypal pfizer qualcomm
        salesforce samsung sap siemens sony spotify starbucks tsmc uber visa volkswagen walmart
        """,
    )
)
# Written in capitals, and no ticker.
_CAPITALS: Final = frozenset(
    re.findall(
        r"\S+",
        """
        AI AN AND API ASAP ATH CEO CFO CPU CSV DR EPS ETF EU EUR FAQ FYI GDP GPU HTML IN IPO IS IT
        JSON LLM ME MTD MY NASDAQ NO NOT NYSE OF OK ON OR PDF PE QTD ROI SEC SP SQL THE TL TLDR TO
        TWO UK UP US USA USD UTC VS WTD YES YOY YTD
        """,
    )
)
_FUZZY: Final = [a for a in _ALIASES if a.isalpha() and len(a) >= 5]
_KNOWN: Final = re.compile(
    r"(?<![\w.])\$?("
    + "|".join(re.escape(a) for a in sorted(_ALIASES, key=len, reverse=True))
    + r")(?:'s|’s|s)?(?![\w])",
    re.IGNORECASE,
)
_TICKER: Final = re.compile(r"(?<![\w$])(\$[A-Za-z]{1,5}|[A-Z]{2,5})(?:'s|’s)?(?!\w)")


@dataclass(slots=True)
class Mentions:
    """Companies as mentioned: tickers that the sample has, names that it has not, and misspellings.

    ``guessed`` maps what was written to the ticker that it was taken for.
    """

    tickers: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    guessed: dict[str, str] = field(default_factory=dict[str, str])


def find_companies(text: str, *, ignoring: Collection[str] = ()) -> Mentions:
    """Return the companies that ``text`` mentions, in its order; ``ignoring`` holds known words."""
    places: list[tuple[int, str]] = []
    rest = list(text)
    for found in _KNOWN.finditer(text):
        places.append((found.start(), _ALIASES[found[1].lower()]))
        rest[found.start() : found.end()] = " " * len(found[0])
    mentions = Mentions()
    left = "".join(rest)
    for found in re.finditer(r"[A-Za-z]{5,}", left):
        word = found[0].lower()
        if word in ignoring or word in _OTHERS:
            continue
        close = get_close_matches(word, _FUZZY, n=1, cutoff=0.85)
        if close:
            ticker = _ALIASES[close[0]]
            mentions.guessed[found[0]] = ticker
            places.append((found.start(), ticker))
    mentions.tickers = list(dict.fromkeys(ticker for _, ticker in sorted(places)))
    mentions.unknown = _unknown(left)
    return mentions


def _unknown(text: str) -> list[str]:
    found: list[tuple[int, str]] = []
    letters = [c for c in text if c.isalpha()]
    # Where everything is in capitals, capitals mean nothing.
    shouting = sum(c.isupper() for c in letters) > 0.6 * len(letters) > 6
    for match in _TICKER.finditer(text):
        word = match[1]
        if word.startswith("$") or (not shouting and word not in _CAPITALS):
            found.append((match.start(), word.removeprefix("$").upper()))
    for match in re.finditer(r"[A-Za-z][A-Za-z\-]+", text):
        if match[0].lower() in _OTHERS and match[0].upper() not in (word for _, word in found):
            found.append((match.start(), match[0]))
    return list(dict.fromkeys(word for _, word in sorted(found) if word not in NAMES))

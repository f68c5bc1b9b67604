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
        AI ALL AN AND ANY API ARE ASAP ATH AVG BEST BUT BUY CAGR CEO CFO CPU CSV DAX DID DO DOES DR
        EPS ETF EU EUR FAQ FOR FROM FYI GDP GPU HAS HOLD HOW HTML IF IN IPO IS IT JSON LLM MACD MAX
        ME MIN MTD MY NASDAQ NO NOT NOW NYSE OF OK ON OR OVER PDF PE PER QTD ROI RSI SEC SELL SINCE
        SP SQL THAN THAT THE THIS TL TLDR TO TWO UK UP US USA USD UTC VS WAS WHAT WHEN WHO WHY WILL
        WITH WORST WTD YES YOY YTD
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
# A single letter that a number stands before is a unit.
_TICKER: Final = re.compile(
    r"(?<![\w$'’])(?<!\d )(\$[A-Za-z]{1,5}|[A-Z]{1,5}(?:[.&][A-Z])?)(?:'s|’s)?(?![\w&])"
)
# Capitals that belong together, and are no tickers.
_PHRASES: Final = re.compile(
    r"(?<!\w)(?:S&P|P/E|R&D|M&A|U\.S\.(?:A\.)?|U\.K\.)(?!\w)", re.IGNORECASE
)
# "A" and "I" are words, except where a company is bound to stand.
_LONE: Final = re.compile(r"(?:\b(?:vs|versus|with|and|or|against|to)\b\.?|,)\s*$", re.IGNORECASE)
_LONE_END: Final = re.compile(r"\s*(?:$|[?!,;.]|(?:vs|versus|and|or)\b)", re.IGNORECASE)
_AGAINST: Final = re.compile(
    r"\b(?:(?:vs\.?|versus|compar\w+[^.?!]*?\s(?:with|to))\s+(?P<any>[A-Za-z]+)"
    r"|(?:with|and|or|against|to|than)\s+(?P<name>(?-i:[A-Z][a-z]\w+)))",
    re.IGNORECASE,
)
# What may stand beside a company, and is none.
_BESIDE: Final = frozenset(
    re.findall(
        r"\S+",
        """
        a all an and any everything everyone it its itself last now other others past peers same
        that the their them these this those today what which why yesterday you one each every
        market markets group average rest january february march april june july august september
        october november december monday tuesday wednesday thursday friday compare how please show
        tell give then english wall street me my our explain summarise summarize list say
        jan feb mar apr may jun jul aug sep sept oct nov dec half
        one two three four five six seven eight nine ten
        before previous on in at over during since for from before average usual both
        """,
    )
)


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
        # Not blanks: what follows a company must not seem to stand in its place.
        rest[found.start() : found.end()] = "\0" * len(found[0])
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
    guessed = {word.lower() for word in mentions.guessed}
    mentions.unknown = _unknown(left, {*_BESIDE, *ignoring, *guessed})
    return mentions


def _unknown(text: str, known: Collection[str]) -> list[str]:
    """Return what stands where a company would, and is none of the sample's."""
    found: list[tuple[int, str]] = []
    letters = [c for c in text if c.isalpha()]
    # Where everything is in capitals, capitals mean nothing.
    shouting = sum(c.isupper() for c in letters) > 0.6 * len(letters) > 6
    text = _PHRASES.sub(lambda phrase: " " * len(phrase[0]), text)
    for match in _TICKER.finditer(text):
        word = match[1]
        if word in ("A", "I"):
            is_ticker = bool(_LONE.search(text[: match.start()])) and bool(
                _LONE_END.match(text[match.end() :])
            )
        else:
            is_ticker = not shouting and word not in _CAPITALS
        if word.startswith("$") or is_ticker:
            found.append((match.start(), word.removeprefix("$").upper()))
    for match in re.finditer(r"[A-Za-z][A-Za-z\-]+", text):
        if match[0].lower() in _OTHERS and match[0].upper() not in (word for _, word in found):
            found.append((match.start(), match[0]))
    for match in _AGAINST.finditer(text):
        group = "any" if match["any"] else "name"
        word = match[group]
        seen = {other.upper() for _, other in found}
        if word.lower() not in known and word.upper() not in seen:
            found.append((match.start(group), word.upper() if len(word) < 3 else word))
    return list(dict.fromkeys(word for _, word in sorted(found) if word not in NAMES))

"""The words by which a question shows what it asks for."""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = [
    "BACK",
    "INTENTS",
    "LIMITS",
    "MORE",
    "SWINGS",
    "VOCABULARY",
    "WHY",
    "Intent",
]

Intent = Literal[
    "price", "change", "compare", "volatility", "rank", "history", "help", "thanks", "unknown"
]


def _any_of(*patterns: str) -> re.Pattern[str]:
    """Return what matches any of the patterns, each as whole words; a space is any white space."""
    joined = "|".join(patterns).replace(" ", r"\s+")
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)


# In the order of precedence: the first that matches is what is asked for.
INTENTS: Final[tuple[tuple[Intent, re.Pattern[str]], ...]] = (
    (
        "rank",
        _any_of(
            r"best|worst|top|bottom|rank(?:ing|ed)?|gainers?|losers?|winners?|leaders?|laggards?",
            r"strongest|weakest|calmest|riskiest|safest",
            r"(?:most|least|highest|lowest) (?:volatile|risky|stable)|(?:more|less) volatile",
            r"which (?:stock|share|company|one|ticker)s?(?: of \w+)? (?:rose|fell|gained|lost)",
        ),
    ),
    (
        "help",
        _any_of(
            r"what (?:else )?(?:can|do) you (?:do|know|tell|offer|answer)|help|who are you",
            r"what (?:are you|can i ask)|how do you work",
            r"(?:what|which) (?:stocks|shares|companies|tickers|data) (?:do|can|are)",
        ),
    ),
    (
        "compare",
        _any_of(
            r"compar\w*|versus|vs\.?|against|relative to|differences? between|side by side",
            r"(?:better|worse|more|less|higher|lower) than",
        ),
    ),
    (
        "volatility",
        _any_of(
            r"volatil\w*|risk\w*|swing\w*|fluctuat\w*|standard deviation|drawdown|calm|stable",
            r"stability|steady|jumpy|wild",
        ),
    ),
    (
        "history",
        _any_of(
            r"history|histor\w+ (?:prices?|data)|daily (?:closes|prices)|closing prices",
            r"(?:list|show|give)(?: me)?(?: the)? (?:prices|closes)|day by day|time series",
        ),
    ),
    (
        "change",
        _any_of(
            r"chang\w*|mov(?:e|ed|es|ement)|perform\w*|returns?|gain\w*|los(?:t|e|s|ses)",
            r"ris(?:e|en)|rose|fall\w*|fell|drop\w*|grow\w*|grew|trend\w*|climb\w*|develop\w*",
            r"doing|fared?|went|gone|up|down|increas\w*|decreas\w*|declin\w*|highs?|lows?|range",
            r"peak\w*|how (?:did|has|have|is|was)",
        ),
    ),
    (
        "price",
        _any_of(
            r"prices?|quotes?|worth|costs?|trad(?:e|es|ing)|clos(?:e|ed|es|ing)|values?|stocks?",
            r"shares?|how much|at now",
        ),
    ),
    ("thanks", re.compile(r"^\W*(?:thanks?|thank you|thx|great|ok(?:ay)?|bye|goodbye)\b", re.I)),
    ("help", re.compile(r"^\W*(?:hi|hello|hey|good (?:morning|evening|day))\b", re.I)),
)

LIMITS: Final = (
    (
        "forecasts",
        _any_of(
            r"will|predict\w*|forecast\w*|tomorrow|next (?:day|week|month|quarter|year)|going to",
            r"future|target price|price target|outlook|expect\w*",
        ),
    ),
    (
        "advice",
        _any_of(
            r"should (?:i|we)|recommend\w*|advi[cs]e|(?:good|bad) (?:investment|buy|time)|buy",
            r"sell or hold|invest(?:ing)? in|portfolio",
        ),
    ),
    ("news", _any_of(r"news|headlines?|announce\w*|rumou?rs?|events?|analysts?|lawsuit\w*")),
    (
        "fundamentals",
        _any_of(
            r"p/?e|earnings?|revenues?|dividends?|market cap\w*|eps|profits?|margins?",
            r"balance sheet|cash flow|valuation|fundamentals?|ceo|employees",
        ),
    ),
    (
        "other markets",
        _any_of(
            r"bitcoin|btc|ethereum|crypto\w*|gold|silver|oil|exchange rates?|eur|euros?|forex",
            r"bonds?|interest rates?|inflation|s&p(?: ?500)?|nasdaq|dow(?: jones)?|dax",
            r"index|indices|etfs?",
        ),
    ),
    (
        "live data",
        _any_of(
            r"real[ -]?time|live|intraday|hourly|by the minute|pre-?market|after[ -]hours",
            r"trading volumes?|volume|opening price|options?|ask price",
        ),
    ),
)

WHY: Final = _any_of(r"why|reasons?|caused?s?|explain\w*|behind|drove|driv(?:es|ing)")
SWINGS: Final = _any_of(r"volatil\w*|risk\w*|calm\w*|stable|swing\w*|safest")
#: Words that point back to what was spoken of before.
BACK: Final = _any_of(
    r"it|its|it['’]s|that|this one|them|they|their|those|these|both|same|each",
    r"the (?:two|three|other)",
)
MORE: Final = re.compile(r"^\W*(?:and|also|plus|add|what about|how about|now)\b", re.I)

#: Longer words that are no misspelt company.
VOCABULARY: Final = frozenset(
    re.findall(
        r"[a-z]{5,}", " ".join(p.pattern for _, p in (*INTENTS, *LIMITS)) + " apply inter amazing"
    )
)

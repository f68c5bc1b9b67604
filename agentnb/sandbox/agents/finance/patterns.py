"""The words by which a question shows what it asks for."""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = [
    "BACK",
    "EVERYTHING",
    "FACTS",
    "FOREIGN",
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
    (
        "statistics",
        _any_of(
            r"correlat\w*|covarian\w*|regress\w*|averag\w*|mean (?:price|close|return)|median",
            r"beta|alpha|sharpe|rsi|macd|bollinger|percentiles?",
        ),
    ),
    (
        "amounts",
        _any_of(
            r"[$€£] ?\d[\d,.]*[km]?|\d[\d,.]*k? ?(?:dollars|usd|euros|bucks)|what would(?! you)",
            r"if (?:i|we|you|someone) (?:had|have|put|bought|sold|invest(?:ed)?)|invested",
        ),
    ),
    (
        "writing",
        _any_of(
            r"haikus?|poe(?:ms?|try)|limericks?|sonnets?|rhym\w*|lyrics|jokes?|riddles?|stor(?:y|ies)",
            r"essays?|tweets?|translat\w*|write (?:me )?(?:a|an|some)",
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
#: Words that mean every share of the sample.
EVERYTHING: Final = _any_of(
    r"everything|everyone|all (?:the )?(?:ten|10|shares|stocks|companies|tickers|others?)",
    r"(?:every|each) (?:share|stock|company|ticker|one)|the (?:ten|10) (?:shares|stocks|companies)",
    r"the others|the rest",
    r"(?<!they.)(?<!them.)(?<!these.)(?<!those.)all"
    r"(?! of (?:them|these|those))(?!.(?:time|day|week|month|quarter|year))",
)
#: Questions for facts, where nothing else in them is known.
FACTS: Final = re.compile(r"^\W*(?:who|whose|when)\b", re.I)
#: Words of other languages, mostly German; none of them is an English word too.
FOREIGN: Final = _any_of(
    r"wie|wieso|warum|wann|wer|welche[rsnm]?|ist|sind|hatte|wird|wurde|sich|der|das|dem|und|oder",
    r"nicht|eine?[rnms]?|für|über|von|vom|mit|auf|bei|zum|zur|seit|kann(?:st)?|ich|mir|bitte",
    r"kostet\w*|kosten|aktien?|kurse?|preise?|jahre?[sn]?|monate?[sn]?|wochen?|gestern|heute",
    r"vergleich\w*|entwickelt|zeige?|hallo|guten|danke|schwank\w*|\w*[äöüß]\w*",
    r"combien|quel(?:le)?s?|pourquoi|bonjour|cuánto|cuál|qué|precio|hola|quanto|prezzo",
)
MORE: Final = re.compile(r"^\W*(?:and|also|plus|add|what about|how about|now)\b", re.I)

#: Longer words that are no misspelt company.
VOCABULARY: Final = frozenset(
    re.findall(
        r"[a-z]{5,}", " ".join(p.pattern for _, p in (*INTENTS, *LIMITS)) + " apply inter amazing"
    )
)

"""HTTP: a pooled client, its deadlines, and errors that say what happened.

`HttpClient` is what a platform talks through; nothing else in this package imports httpx, and
this does so late, on the first request.  Proxies are taken from the environment (``HTTP_PROXY``,
``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``), and certificates from ``SSL_CERT_FILE`` and
``SSL_CERT_DIR``, unless ``trust_env`` is False.  Certificates are always verified, and cookies are
neither kept nor sent.  No redirect is followed but one to the same address with or without a slash
at the end of its path.
"""

from __future__ import annotations

from agentnb._http.client import HttpClient
from agentnb._http.error_responses import ErrorDetails, ErrorParser, parse_date, parse_retry_after
from agentnb._http.options import (
    Pause,
    Terms,
    aside,
    context_without_terms,
    current_terms,
    without_terms,
)
from agentnb._http.request import quote_segment
from agentnb._http.response import EventStream, JsonAnswer
from agentnb._http.retry import LONGEST_WISH, is_passing, own_pause
from agentnb._http.traceback_frames import without_frames

__all__ = [
    "LONGEST_WISH",
    "ErrorDetails",
    "ErrorParser",
    "EventStream",
    "HttpClient",
    "JsonAnswer",
    "Pause",
    "Terms",
    "aside",
    "context_without_terms",
    "current_terms",
    "is_passing",
    "own_pause",
    "parse_date",
    "parse_retry_after",
    "quote_segment",
    "without_frames",
    "without_terms",
]

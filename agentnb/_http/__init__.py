"""HTTP: a pooled client with deadlines, retries and typed errors.

Platforms use `HttpClient`.  Only this package imports httpx, and only with the first request.
Proxies are taken from the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``,
``NO_PROXY``), and certificates from ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, unless ``trust_env`` is
False.  Certificates are always verified, and cookies are neither stored nor sent.  The only
redirect followed is one that adds or removes the slash at the end of the path.
"""

from __future__ import annotations

from agentnb._http.client import HttpClient, JsonResponse
from agentnb._http.error_responses import (
    ErrorDetails,
    ErrorParser,
    parse_date,
    parse_retry_after,
    without_frames,
)
from agentnb._http.options import (
    RequestOptions,
    RetryDelay,
    current_options,
    detached,
    detached_context,
    side_request,
)
from agentnb._http.request import quote_segment
from agentnb._http.retry import MAX_RETRY_AFTER, backoff_delay, is_retryable_status

__all__ = [
    "MAX_RETRY_AFTER",
    "ErrorDetails",
    "ErrorParser",
    "HttpClient",
    "JsonResponse",
    "RequestOptions",
    "RetryDelay",
    "backoff_delay",
    "current_options",
    "detached",
    "detached_context",
    "is_retryable_status",
    "parse_date",
    "parse_retry_after",
    "quote_segment",
    "side_request",
    "without_frames",
]

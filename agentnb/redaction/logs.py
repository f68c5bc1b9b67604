"""Redact keys in the logs of the HTTP libraries, which repeat headers of responses."""

from __future__ import annotations

import logging

from agentnb.redaction.secrets import mask

__all__ = ["mask_logs"]


class _Mask(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # The handler reports the malformed record.
            return True
        masked = mask(message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True


_filter = _Mask()


def mask_logs() -> None:
    """Redact known keys in all loggers of httpx, httpcore, aiohttp and websockets.

    A filter does not apply to child loggers, so each logger gets it.  Idempotent.
    """
    for name in ("httpx", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("httpx", "httpcore", "aiohttp", "websockets"):
            logging.getLogger(name).addFilter(_filter)

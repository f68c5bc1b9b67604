"""The HTTP client's own logs, without the keys that servers echo into them."""

from __future__ import annotations

import logging

from agentnb.redaction.secrets import mask

__all__ = ["mask_logs"]


class _Mask(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        try:
            said = record.getMessage()
        except (TypeError, ValueError):
            # The handler will report what is wrong with it.
            return True
        masked = mask(said)
        if masked != said:
            record.msg, record.args = masked, ()
        return True


_filter = _Mask()


def mask_logs() -> None:
    """Have every logger of httpx, and of what is under it, take known keys out of what it says.

    httpcore's repeat the headers of answers at DEBUG.  A filter is its logger's alone, not one of
    the loggers below it, so each gets it; a second call changes nothing.
    """
    for name in ("httpx", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("httpx", "httpcore", "aiohttp", "websockets"):
            logging.getLogger(name).addFilter(_filter)

"""Validation of response heads before aiohttp's parser gets them.

h11, which httpx uses, and llhttp, which aiohttp uses, accept different heads; this accepts what h11
does.  It also passes a head to the parser separately, which otherwise would report an invalid body
in the same packet before it delivered the head.
"""

from __future__ import annotations

import re
from typing import Final

# h11's limit for a head, in bytes.
_MAX_BYTES: Final = 100 * 2**10
_END: Final = re.compile(rb"\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/(?:1\.[01]|2\.0) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*(.*?)[ \t]*\r?\n", re.I | re.M)
_ENCODING: Final = re.compile(rb"^transfer-encoding:[ \t]*(.*?)[ \t]*\r?$", re.I | re.M)


class HeadReader:
    """Splits the bytes that a connection receives after a request into heads and the rest."""

    __slots__ = ("_buffer", "is_over")

    def __init__(self) -> None:
        #: Whether the final head is complete, so that the rest is the body.
        self.is_over = False
        self._buffer = b""

    def read(self, data: bytes) -> list[bytes]:
        """Return the pieces to feed to the parser, one at a time.

        Raises:
            ValueError: the head is invalid or too large.
        """
        pieces: list[bytes] = []
        data, self._buffer = self._buffer + data, b""
        while data and not self.is_over:
            if not data.startswith(b"HTTP/"[: len(data)]):
                raise ValueError("This does not begin like a response.")
            end = _END.search(data)
            if (len(data) if end is None else end.end()) > _MAX_BYTES:
                raise ValueError("The head is too large.")
            if end is None:
                self._buffer = data
                return pieces
            head, data = data[: end.end()], data[end.end() :]
            pieces.append(self._validate(head))
        if data:
            pieces.append(data)
        return pieces

    def _validate(self, head: bytes) -> bytes:
        """Return the head with at most one length, and none beside a transfer encoding."""
        status = _STATUS_LINE.match(head)
        if status is None:
            raise ValueError("The status line is not valid.")
        # Another head follows an interim response; 101 switches the protocol.
        self.is_over = status[1] == b"101" or not status[1].startswith(b"1")
        encodings = _ENCODING.findall(head)
        if encodings and [each.lower() for each in encodings] != [b"chunked"]:
            raise ValueError("The transfer encoding is unknown.")
        lengths = [part.strip() for each in _LENGTH.findall(head) for part in each.split(b",")]
        if len(set(lengths)) > 1:
            raise ValueError("The lengths differ.")
        if encodings and lengths:
            return _LENGTH.sub(b"", head)
        if len(lengths) > 1:
            return _LENGTH.sub(b"", head[:-2]) + b"Content-Length: %b\r\n\r\n" % lengths[0]
        return head

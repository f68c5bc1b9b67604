"""The heads of responses, checked before aiohttp's parser gets them.

h11, which httpx uses, and llhttp, which aiohttp uses, differ in what they accept; here a head is
made to fit what h11 does.  A parser that is given a head alone also delivers it before it finds
fault with a body that came in the same packet.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HeadReader"]

# As large as h11 takes a head to be, in bytes.
_MAX_BYTES: Final = 100 * 2**10
_END: Final = re.compile(rb"\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/(?:1\.[01]|2\.0) ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*(.*?)[ \t]*\r?\n", re.I | re.M)
_ENCODING: Final = re.compile(rb"^transfer-encoding:[ \t]*(.*?)[ \t]*\r?$", re.I | re.M)


class HeadReader:
    """Splits what a connection receives after a request into heads and the rest."""

    __slots__ = ("_came", "is_over")

    def __init__(self) -> None:
        #: Whether the final head has come, so that what follows is the body.
        self.is_over = False
        self._came = b""

    def read(self, data: bytes) -> list[bytes]:
        """Return what the parser is to be given, one call for each piece.

        Raises:
            ValueError: this is no head of a response, or one that is too large.
        """
        pieces: list[bytes] = []
        data, self._came = self._came + data, b""
        while data and not self.is_over:
            if not data.startswith(b"HTTP/"[: len(data)]):
                raise ValueError("This does not begin as a response does.")
            end = _END.search(data)
            if (len(data) if end is None else end.end()) > _MAX_BYTES:
                raise ValueError("The head is too large.")
            if end is None:
                self._came = data
                return pieces
            head, data = data[: end.end()], data[end.end() :]
            pieces.append(self._checked(head))
        if data:
            pieces.append(data)
        return pieces

    def _checked(self, head: bytes) -> bytes:
        status = _STATUS_LINE.match(head)
        if status is None:
            raise ValueError("The status line is not valid.")
        # Interim responses are followed by another head; 101 changes the protocol.
        self.is_over = status[1] == b"101" or not status[1].startswith(b"1")
        encodings = _ENCODING.findall(head)
        if encodings and [each.lower() for each in encodings] != [b"chunked"]:
            raise ValueError("The transfer encoding is not known.")
        lengths = [part.strip() for each in _LENGTH.findall(head) for part in each.split(b",")]
        if len(set(lengths)) > 1:
            raise ValueError("There are several lengths.")
        if encodings and lengths:
            return _LENGTH.sub(b"", head)
        if len(lengths) > 1:
            return _LENGTH.sub(b"", head[:-2]) + b"Content-Length: %b\r\n\r\n" % lengths[0]
        return head

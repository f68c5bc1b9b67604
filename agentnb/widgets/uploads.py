"""Files on their way from a page: gathered piece by piece, within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from mimetypes import guess_type
from typing import Any, Final

from agentnb.conversation import Attachment
from agentnb.errors import RequestError
from agentnb.platforms.base import Media, MediaSupport
from agentnb.widgets.chat_protocol import MAX_CHUNK, MAX_UPLOADED, SentAttachment

__all__ = ["Uploads"]

# How long a file waits for its next piece, or for the question that it belongs to, in seconds.
_PATIENCE: Final = 120.0


class _Upload:
    __slots__ = ("count", "pieces", "size", "touched", "wrong")

    def __init__(self) -> None:
        # By number: some hosts send each message by a request of its own, which may overtake.
        self.pieces: dict[int, bytes] = {}
        self.count: int | None = None
        self.size = 0
        self.touched = 0.0
        # Why it cannot be taken; its pieces are let go of then, and later ones not kept.
        self.wrong: str | None = None

    @property
    def complete(self) -> bool:
        return self.count is not None and len(self.pieces) == self.count


class Uploads:
    """The files that were uploaded and not yet sent, of one chat.

    ``support`` says what the platform takes.  All files together are held to 64 MB; a file that
    nobody goes on with for two minutes is dropped.
    """

    def __init__(
        self,
        support: Callable[[], MediaSupport | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        limit: int = MAX_UPLOADED,
    ) -> None:
        self._support = support
        self._clock = clock
        self._limit = limit
        self._lock = threading.Lock()
        self._files: dict[str, _Upload] = {}
        self._timer: threading.Timer | None = None

    @property
    def size(self) -> int:
        """Bytes in memory."""
        with self._lock:
            return sum(file.size for file in self._files.values())

    def add(self, upload: str, index: int, *, last: bool, buffers: Sequence[Any]) -> None:
        """Take a piece; what is wrong with it is told when the question is sent."""
        with self._lock:
            # Not the one that this goes on with: its pieces may have waited for a busy kernel.
            self._tidy(but=upload)
            support = self._support()
            if support is None:
                return
            if upload not in self._files and len(self._files) >= 2 * support.max_count:
                return
            file = self._files.setdefault(upload, _Upload())
            file.touched = self._clock()
            self._watch()
            if file.wrong is not None or index in file.pieces:
                return
            piece = _piece(buffers)
            # An empty file is one empty piece; more of them would be gathered without bound.
            empty = piece == b"" and not (index == 0 and last)
            beyond = file.count is not None and (last or index >= file.count)
            below = last and any(number > index for number in file.pieces)
            if piece is None or empty or beyond or below:
                self._refuse(file, "was not received whole. Attach it again")
            elif file.size + len(piece) > support.max_bytes:
                self._refuse(file, f"is larger than {_megabytes(support.max_bytes)}")
            elif self._held() + len(piece) > self._limit:
                self._refuse(
                    file, f"is too much: files together may have {_megabytes(self._limit)}"
                )
            else:
                file.pieces[index] = piece
                file.size += len(piece)
                if last:
                    file.count = index + 1

    def ready(self, sent: Sequence[SentAttachment]) -> bool:
        """Tell whether nothing more of a question's files is to be expected."""
        with self._lock:
            if self._support() is None:
                return True
            files = [self._files.get(item["upload"]) for item in sent]
        return all(f is not None and (f.complete or f.wrong is not None) for f in files)

    def take(self, sent: Sequence[SentAttachment], *, beside: int = 0) -> list[Media]:
        """Return the files of a question; they are held no longer, also where one is refused.

        ``beside`` is how many others go with it.

        Raises:
            RequestError: one was not received whole, is too large or of a kind that the platform
                does not take, or they are too many.
        """
        with self._lock:
            files = [(item["attachment"], self._files.pop(item["upload"], None)) for item in sent]
            support = self._support()
        if support is not None and sent and len(sent) + beside > support.max_count:
            raise RequestError(f"At most {support.max_count} files go with one question.")
        media: list[Media] = []
        for attachment, file in files:
            wrong = file.wrong if file is not None else None
            if file is None or (wrong is None and not file.complete):
                wrong = "was not received whole. Attach it again"
            if wrong is None and support is not None and not _accepts(support.accept, attachment):
                wrong = f"is of a kind that is not taken here: {', '.join(support.accept)} are"
            if file is None or wrong is not None:
                raise RequestError(f"'{attachment.name}' {wrong}.")
            media.append(
                Media(
                    data=b"".join(file.pieces[number] for number in sorted(file.pieces)),
                    name=attachment.name,
                    mime_type=attachment.mime_type,
                )
            )
        return media

    def clear(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._files.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _tidy(self, *, but: str | None = None) -> None:
        oldest = self._clock() - _PATIENCE
        self._files = {k: f for k, f in self._files.items() if k == but or f.touched >= oldest}

    def _watch(self) -> None:
        """Look after the files once more when the youngest of them may have waited too long."""
        if self._timer is None:
            self._timer = threading.Timer(_PATIENCE, self._look)
            self._timer.daemon = True
            self._timer.start()

    def _look(self) -> None:
        with self._lock:
            self._timer = None
            self._tidy()
            if self._files:
                self._watch()

    def _held(self) -> int:
        return sum(file.size for file in self._files.values())

    @staticmethod
    def _refuse(file: _Upload, why: str) -> None:
        file.wrong = why
        file.pieces.clear()
        file.size = 0


def _accepts(accept: Sequence[str], attachment: Attachment) -> bool:
    """Tell whether a file is of a kind that is taken; a type that nobody knows is let through."""
    kind = attachment.mime_type or guess_type(attachment.name)[0]
    return not accept or kind is None or any(fnmatchcase(kind, pattern) for pattern in accept)


def _piece(buffers: Sequence[Any]) -> bytes | None:
    if len(buffers) != 1:
        return None
    try:
        view = memoryview(buffers[0])
    except TypeError:
        return None
    return view.tobytes() if view.nbytes <= MAX_CHUNK else None


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.3g} MB"

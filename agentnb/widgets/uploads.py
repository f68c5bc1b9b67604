"""Receive files from a page in chunks, within limits."""

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

# Seconds that a file waits for its next chunk, or for its question.
_TIMEOUT: Final = 120.0
_INCOMPLETE: Final = "was not received whole. Attach it again"


class _PartialFile:
    __slots__ = ("chunks", "count", "error", "size", "updated")

    def __init__(self) -> None:
        # By index: some hosts send each message as a request of its own, out of order.
        self.chunks: dict[int, bytes] = {}
        self.count: int | None = None
        self.size = 0
        self.updated = 0.0
        # Why it is rejected; its chunks are discarded then.
        self.error: str | None = None

    @property
    def complete(self) -> bool:
        return self.count is not None and len(self.chunks) == self.count


class Uploads:
    """Uploaded files of one chat that were not sent yet.

    ``support`` returns what the platform accepts.  All files together are limited to 64 MB; a file
    without a further chunk for two minutes is dropped.
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
        self._files: dict[str, _PartialFile] = {}
        self._timer: threading.Timer | None = None

    @property
    def size(self) -> int:
        with self._lock:
            return self._total()

    def add(self, upload: str, index: int, *, last: bool, buffers: Sequence[Any]) -> None:
        """Add a chunk; errors are reported when the question is sent."""
        with self._lock:
            # Keep this file: its chunks may have waited for a busy kernel.
            self._drop_old(keep=upload)
            support = self._support()
            if support is None:
                return
            if upload not in self._files and len(self._files) >= 2 * support.max_count:
                return
            file = self._files.setdefault(upload, _PartialFile())
            file.updated = self._clock()
            self._start_timer()
            if file.error is not None or index in file.chunks:
                return
            chunk = _chunk(buffers)
            # Only an empty file has an empty chunk, otherwise their number would be unlimited.
            is_empty = chunk == b"" and not (index == 0 and last)
            is_beyond = file.count is not None and (last or index >= file.count)
            is_below = last and any(number > index for number in file.chunks)
            if chunk is None or is_empty or is_beyond or is_below:
                self._reject(file, _INCOMPLETE)
            elif file.size + len(chunk) > support.max_bytes:
                self._reject(file, f"is larger than {_megabytes(support.max_bytes)}")
            elif self._total() + len(chunk) > self._limit:
                self._reject(
                    file, f"is too much: files together may have {_megabytes(self._limit)}"
                )
            else:
                file.chunks[index] = chunk
                file.size += len(chunk)
                if last:
                    file.count = index + 1

    def ready(self, sent: Sequence[SentAttachment]) -> bool:
        """Return whether a question's files are complete or rejected."""
        with self._lock:
            if self._support() is None:
                return True
            files = [self._files.get(item["upload"]) for item in sent]
        return all(f is not None and (f.complete or f.error is not None) for f in files)

    def take(self, sent: Sequence[SentAttachment], *, other_files: int = 0) -> list[Media]:
        """Return and remove the files of a question, which has ``other_files`` as well.

        Raises:
            RequestError: one is incomplete, too large or of a type that the platform does not
                accept, or they are too many.
        """
        with self._lock:
            files = [(item["attachment"], self._files.pop(item["upload"], None)) for item in sent]
            support = self._support()
        if support is not None and sent and len(sent) + other_files > support.max_count:
            raise RequestError(f"At most {support.max_count} files go with one question.")
        media: list[Media] = []
        for attachment, file in files:
            error = file.error if file is not None else None
            if file is None or (error is None and not file.complete):
                error = _INCOMPLETE
            if error is None and support is not None and not _accepts(support.accept, attachment):
                error = f"is of a kind that is not taken here: {', '.join(support.accept)} are"
            if file is None or error is not None:
                raise RequestError(f"'{attachment.name}' {error}.")
            media.append(
                Media(
                    data=b"".join(file.chunks[number] for number in sorted(file.chunks)),
                    name=attachment.name,
                    mime_type=attachment.mime_type,
                )
            )
        return media

    def clear(self) -> None:
        with self._lock:
            self._files.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _drop_old(self, *, keep: str | None = None) -> None:
        oldest = self._clock() - _TIMEOUT
        self._files = {k: f for k, f in self._files.items() if k == keep or f.updated >= oldest}

    def _start_timer(self) -> None:
        """Check the files again when the newest of them may have timed out."""
        if self._timer is None:
            self._timer = threading.Timer(_TIMEOUT, self._on_timer)
            self._timer.daemon = True
            self._timer.start()

    def _on_timer(self) -> None:
        with self._lock:
            self._timer = None
            self._drop_old()
            if self._files:
                self._start_timer()

    def _total(self) -> int:
        return sum(file.size for file in self._files.values())

    @staticmethod
    def _reject(file: _PartialFile, error: str) -> None:
        file.error = error
        file.chunks.clear()
        file.size = 0


def _accepts(accept: Sequence[str], attachment: Attachment) -> bool:
    kind = attachment.mime_type or guess_type(attachment.name)[0]
    return not accept or kind is None or any(fnmatchcase(kind, pattern) for pattern in accept)


def _chunk(buffers: Sequence[Any]) -> bytes | None:
    if len(buffers) != 1:
        return None
    try:
        view = memoryview(buffers[0])
    except TypeError:
        return None
    return view.tobytes() if view.nbytes <= MAX_CHUNK else None


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.3g} MB"

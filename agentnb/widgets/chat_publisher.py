"""Publish a conversation to its page, and carry out the page's commands.

`ChatPublisher` sends changes of the structure (turns, branches, status) itself and leaves each run
to a `RunPublisher`, so that a delta costs the same in a long conversation as in a cell.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from agentnb.conversation import Change, Conversation, Turn
from agentnb.errors import AgentnbError
from agentnb.render import one_line
from agentnb.run.approvals import ApprovalRef
from agentnb.run.run import Run
from agentnb.widgets.chat_protocol import (
    chat_head,
    chat_message,
    chat_snapshot,
    command_id,
    parse_chat_message,
    session_state,
    turn_state,
)
from agentnb.widgets.protocol import Snapshot
from agentnb.widgets.publisher import Publisher, Send
from agentnb.widgets.run import RunPublisher
from agentnb.widgets.uploads import Uploads

_log = logging.getLogger(__name__)

# Seconds that a question waits for its files.
UPLOAD_TIMEOUT: Final = 10.0
# Concurrent decisions, each with a thread of its own.
_MAX_DECISIONS: Final = 20
_OVERTAKEN: Final = "Another question was sent before all files of this one had arrived."
_INVALID: Final = "The kernel could not take this: it is too long, or not well-formed."


class ChatPublisher(Publisher):
    """Publishes a conversation, and carries out the commands of its page."""

    def __init__(self, conversation: Conversation, *, send: Send) -> None:
        super().__init__(send)
        self._conversation = conversation
        self._uploads = Uploads(lambda: conversation.agent.platform.capabilities.media)
        self._head: dict[str, Any] = {}
        self._turns: list[Turn] = []
        self._runs: dict[str, RunPublisher] = {}
        # How often the run of each turn was replaced.
        self._generations: Counter[str] = Counter()
        # Publishers that are started once the page has their turns.
        self._unstarted: list[RunPublisher] = []
        # A question that waits for its files, and its timeout.
        self._waiting: Mapping[str, Any] | None = None
        self._timer: threading.Timer | None = None
        # Decisions in progress, by turn and approval.
        self._deciding: set[tuple[str, ApprovalRef]] = set()

    def start(self) -> None:
        """Subscribe to the conversation, and send the changes since `snapshot`; idempotent."""
        with self._lock:
            if self._unsubscribe is None and not self._closed:
                self._unsubscribe = self._conversation.subscribe(self._on_conversation)
                self.flush()

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state, from which messages continue."""
        with self._lock:
            if not self._closed:
                self.flush()
            return self._state()

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        message = parse_chat_message(content)
        if self._closed:
            return
        if message is None:
            # The page waits for an answer to each command.
            if (id := command_id(content)) is not None:
                self._refuse(id, _INVALID)
        elif message["type"] == "run":
            with self._lock:
                known = self._runs.get(message["turn"])
            if known is not None:
                known.receive(message["message"])
        elif message["type"] == "upload":
            self._uploads.add(
                message["upload"], message["index"], last=message["last"], buffers=buffers
            )
            waiting = self._waiting
            if waiting is not None and self._uploads.ready(waiting["attachments"]):
                self._release(waiting)
        elif message["type"] == "resync":
            self._resync()
        else:
            # At once: without it the page reports a busy kernel.
            self._send({"type": "ack", "id": message["id"]})
            if message["type"] == "send" and not self._uploads.ready(message["attachments"]):
                self._wait_for_files(message)
            else:
                self._execute(message)

    def close(self) -> None:
        super().close()
        with self._lock:
            self._clear()
            self._stop_waiting()
        self._uploads.clear()

    # -- to the page -----------------------------------------------------------------------------

    def _on_conversation(self, change: Change) -> None:
        with self._lock:
            if self._closed:
                return
            turn = change.turn
            if change.kind == "opened":
                self._resync()
                return
            known = None if turn is None else self._runs.get(turn.id)
            if known is not None and change.kind == "status":
                # The answer is complete before the chat's status says so.
                known.flush()
            is_replaced = change.kind == "replaced" and turn and known and known.run is not turn.run
            self.flush(turn if is_replaced else None)

    def flush(self, replaced: Turn | None = None) -> None:
        """Send new turns, the turn whose run was ``replaced``, and changes of the head."""
        turns = self._conversation.turns
        if self._turns and (len(turns) < len(self._turns) or turns[0] is not self._turns[0]):
            # Another conversation was opened, which is also a change of its own.
            self._resync()
            return
        changed = list(enumerate(turns))[len(self._turns) :]
        if replaced is not None:
            self._runs[replaced.id].close()
            self._generations[replaced.id] += 1
            changed.insert(0, (turns.index(replaced), replaced))
        self._turns = [*turns]
        ops: list[dict[str, Any]] = []
        for index, turn in changed:
            first = self._add(turn).first()
            ops.append({"op": "turn", "index": index, "turn": self._turn_state(turn, first)})
        head = chat_head(self._conversation)
        fields = {k: v for k, v in head.items() if k not in self._head or v != self._head[k]}
        if fields:
            self._head = head
            ops.append({"op": "chat", "set": fields})
        if ops and self._unsubscribe is not None:
            self._seq += 1
            self._send(chat_message(self._seq, ops))
        self._start_runs()

    def _add(self, turn: Turn) -> RunPublisher:
        """Return the publisher of a turn's run; unless that is final, it is to be started."""
        decide = partial(self._decide, turn.id)
        publisher = RunPublisher(
            turn.run,
            send=self._send,
            decide=decide if turn.run.takes_decisions else None,
            turn=turn.id,
        )
        self._runs[turn.id] = publisher
        if not (turn.run.done and turn.run.transcript.is_final):
            self._unstarted.append(publisher)
        return publisher

    def _start_runs(self) -> None:
        if self._unsubscribe is not None:
            started, self._unstarted = self._unstarted, []
            for publisher in started:
                publisher.start()

    def _turn_state(self, turn: Turn, run: Snapshot) -> dict[str, Any]:
        return turn_state(turn, run, generation=self._generations[turn.id])

    def _state(self) -> dict[str, Any]:
        turns = [self._turn_state(turn, self._runs[turn.id].snapshot()) for turn in self._turns]
        return chat_snapshot(self._seq, self._head, turns)

    def _resync(self) -> None:
        with self._lock:
            if self._closed:
                return
            turns = self._conversation.turns
            if not self._turns or not turns or turns[0] is not self._turns[0]:
                self._clear()
            for turn in turns[len(self._turns) :]:
                self._add(turn)
            self._turns = [*turns]
            self._head = chat_head(self._conversation)
            # It counts as a message: if it is lost, the page sees a gap.
            self._seq += 1
            self._send({"type": "snapshot", **self._state()})
            self._start_runs()

    def _clear(self) -> None:
        for publisher in self._runs.values():
            publisher.close()
        self._runs.clear()
        self._turns.clear()
        self._unstarted.clear()

    def _refuse(self, command: str, reason: str) -> None:
        self._send({"type": "refused", "id": command, "message": reason})

    # -- from the page ---------------------------------------------------------------------------

    def _wait_for_files(self, command: Mapping[str, Any]) -> None:
        """Defer a question until its files are complete, since it may overtake them."""
        with self._lock:
            if self._closed:
                return
            before = self._stop_waiting()
            self._waiting = command
            self._timer = threading.Timer(UPLOAD_TIMEOUT, self._release, (command,))
            self._timer.daemon = True
            self._timer.start()
        if before is not None and before["id"] != command["id"]:
            self._refuse(before["id"], _OVERTAKEN)

    def _stop_waiting(self) -> Mapping[str, Any] | None:
        """Return the question that waited for its files, if any."""
        waiting, self._waiting = self._waiting, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return waiting

    def _release(self, command: Mapping[str, Any]) -> None:
        with self._lock:
            if self._waiting is not command or self._closed:
                return
            self._stop_waiting()
        self._execute(command)

    def _execute(self, command: Mapping[str, Any]) -> None:
        chat = self._conversation
        try:
            match command:
                case {"type": "send"}:
                    self._ask(command)
                case {"type": "again", "id": id, "turn": turn}:
                    if not self._is_known(id):
                        chat.regenerate(turn, new_id=id)
                case {"type": "show", "turn": turn}:
                    # Without the lock, since this calls observers of the chat.
                    chat.show(turn)
                    with self._lock:
                        # Confirm in any case: the page may have another turn.
                        self._head.pop("shown", None)
                        self.flush()
                case {"type": "new"}:
                    chat.new()
                case {"type": "open", "key": key}:
                    chat.open(key)
                case _:
                    sessions = [session_state(info) for info in chat.sessions()]
                    self._send({"type": "sessions", "id": command["id"], "sessions": sessions})
        except Exception as error:
            if not isinstance(error, AgentnbError):
                _log.info("A page's command failed", exc_info=error)
            self._refuse(command["id"], _error_line(error))

    def _ask(self, command: Mapping[str, Any]) -> None:
        if self._is_known(command["id"]):
            return
        chat = self._conversation
        kept = chat.turn(command["keep"]) if command.get("keep") else None
        media = self._uploads.take(
            command["attachments"], other_files=0 if kept is None else len(kept.media)
        )
        attachments = [item["attachment"] for item in command["attachments"]]
        if kept is not None:
            media = [*kept.media, *media]
            attachments = [*kept.attachments, *attachments]
        chat.send(
            command["text"],
            parent=command.get("parent"),
            turn_id=command["id"],
            media=media,
            attachments=attachments,
            edited=command.get("edit"),
        )

    def _is_known(self, turn: str) -> bool:
        """Return whether a command is a repetition, since its answer may have been lost."""
        with self._lock:
            return turn in self._runs

    def _decide(self, turn: str, approval: ApprovalRef, approved: bool, payload: Any) -> None:
        # In a thread, since the request blocks, and the next message must not wait for it.
        def work(run: Run) -> None:
            chat = self._conversation
            try:
                decide = chat.approve if approved else chat.deny
                decide(approval, payload=payload, turn_id=turn)
            except Exception as error:
                # Unless it was decided elsewhere meanwhile, by another view or by code.
                if run.status == "paused" and run.successor is None:
                    chat.warn(_error_line(error))
            finally:
                with self._lock:
                    self._deciding.discard((turn, approval))

        with self._lock:
            known = self._runs.get(turn)
            run = None if known is None else cast("Run", known.run)
            if (
                run is None
                or run.status != "paused"
                or (turn, approval) in self._deciding
                or len(self._deciding) >= _MAX_DECISIONS
            ):
                _log.debug("A page decided an approval that is not pending, or already decided")
                return
            self._deciding.add((turn, approval))
        threading.Thread(target=work, args=(run,), name="agentnb-decision", daemon=True).start()


def _error_line(error: BaseException) -> str:
    if isinstance(error, AgentnbError):
        return one_line(str(error), 500)
    return one_line(f"{type(error).__name__}: {error}", 500)

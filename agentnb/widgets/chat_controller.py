"""From a conversation to its page, and from the page to the conversation.

`ChatPublisher` tells of the structure (turns, branches, status) itself and leaves each turn's run
to a `RunPublisher` of its own, so that a delta costs the same in a long conversation as in a cell.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agentnb.conversation import Change, Conversation, Turn
from agentnb.errors import AgentnbError
from agentnb.render import one_line
from agentnb.run.approvals import Named
from agentnb.run.run import Run
from agentnb.widgets.chat_protocol import (
    ChatOp,
    Command,
    Send,
    chat_head,
    chat_message,
    chat_snapshot,
    command_id,
    parse_chat_message,
    session_state,
    turn_state,
)
from agentnb.widgets.controller import RunPublisher
from agentnb.widgets.protocol import Snapshot
from agentnb.widgets.uploads import Uploads

__all__ = ["ChatPublisher"]

_log = logging.getLogger(__name__)

# How long a question waits for files that it names and that have not arrived, in seconds.
LATE: Final = 10.0
# Decisions that may be under way at once; there is a thread for each.
_DECISIONS: Final = 20
_OVERTAKEN: Final = "Another question was sent before all files of this one had arrived."
_UNREADABLE: Final = "The kernel could not take this: it is too long, or not well-formed."


class ChatPublisher:
    """Tells a page of a conversation, and carries out what the page asks for.

    ``send`` sends a message to the page; what it raises is logged and reaches neither the
    conversation nor its runs.  Everything may be called on any thread.
    """

    def __init__(
        self, conversation: Conversation, *, send: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self._conversation = conversation
        self._send = send
        self._uploads = Uploads(lambda: conversation.agent.platform.capabilities.media)
        # Held while something is made and sent: messages leave in the order of their numbers.
        self._lock = threading.RLock()
        self._seq = 0
        self._head: dict[str, Any] = {}
        self._turns: list[Turn] = []
        self._told: dict[str, tuple[Run, RunPublisher]] = {}
        # How many times a turn's run was replaced by another.
        self._generations: Counter[str] = Counter()
        # Made before `start`, and told by a snapshot: they begin with it.
        self._waiting: list[RunPublisher] = []
        # A question whose files have not all arrived, and when it is asked without them.
        self._held: Send | None = None
        self._late: threading.Timer | None = None
        # Decisions that platforms are being told, each by its turn and approval.
        self._deciding: set[tuple[str, Named]] = set()
        self._closed = False
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to listen, and tell what is new since `snapshot`; a second call changes nothing."""
        with self._lock:
            if self._unsubscribe is not None or self._closed:
                return
            self._unsubscribe = self._conversation.subscribe(self._changed)
            self._tell()
            self._begin(self._waiting)
            self._waiting = []

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state; the page that is given it knows all of it from here on."""
        with self._lock:
            if not self._closed:
                self._tell()
            return self._whole()

    def receive(self, content: object, buffers: Sequence[Any] = ()) -> None:
        """Take a message of the page; what is none is ignored."""
        message = parse_chat_message(content)
        if self._closed:
            return
        if message is None:
            _log.debug("A page sent something that is no message of its protocol")
            # Whoever waits for an answer is given one: else the page would wait for ever.
            if (key := command_id(content)) is not None:
                self._deliver({"type": "refused", "id": key, "message": _UNREADABLE})
            return
        if message["type"] == "run":
            with self._lock:
                told = self._told.get(message["turn"])
            if told is not None:
                told[1].receive(message["message"])
        elif message["type"] == "upload":
            self._uploads.add(
                message["upload"], message["index"], last=message["last"], buffers=buffers
            )
            held = self._held
            if held is not None and self._uploads.ready(held["attachments"]):
                self._release(held)
        elif message["type"] == "resync":
            self._resync()
        else:
            self._carry_out(message)

    def close(self) -> None:
        """Stop listening and sending; the runs go on.  Safe to call twice."""
        with self._lock:
            self._closed = True
            if self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = None
            self._forget()
            self._put_down()
        self._uploads.clear()

    # -- to the page -----------------------------------------------------------------------------

    def _changed(self, change: Change) -> None:
        with self._lock:
            if self._closed:
                return
            if change.kind == "opened":
                self._resync()
            else:
                if change.kind == "status" and change.turn is not None:
                    # An answer is whole before the chat says that it is.
                    told = self._told.get(change.turn.id)
                    if told is not None:
                        told[1].flush()
                self._tell(change.turn if change.kind == "replaced" else None)

    def _tell(self, replaced: Turn | None = None) -> None:
        """Tell what the page does not know yet: new turns, a turn's new run, the head."""
        turns = self._conversation.turns
        if self._turns and (len(turns) < len(self._turns) or turns[0] is not self._turns[0]):
            # Another conversation was opened; whoever opened it says so, too.
            self._resync()
            return
        ops: list[ChatOp] = []
        begun: list[RunPublisher] = []
        if replaced is not None and (told := self._told.get(replaced.id)) is not None:
            run, publisher = told
            if run is not replaced.run:
                publisher.close()
                self._generations[replaced.id] += 1
                ops.append(self._turn_op(turns.index(replaced), replaced, begun))
        for index in range(len(self._turns), len(turns)):
            self._turns.append(turns[index])
            ops.append(self._turn_op(index, turns[index], begun))
        head = chat_head(self._conversation)
        changed = {k: v for k, v in head.items() if k not in self._head or v != self._head[k]}
        if changed:
            self._head = head
            ops.append({"op": "chat", "set": changed})
        if ops and self._unsubscribe is not None:
            self._seq += 1
            self._deliver(chat_message(self._seq, ops))
        self._begin(begun)

    def _begin(self, publishers: list[RunPublisher]) -> None:
        """Let turns' messages follow, now that the page knows the turns."""
        if self._unsubscribe is None:
            self._waiting += publishers
            return
        for publisher in publishers:
            publisher.start()

    def _turn_op(self, index: int, turn: Turn, begun: list[RunPublisher]) -> ChatOp:
        return {"op": "turn", "index": index, "turn": self._add(turn, begun)}

    def _add(self, turn: Turn, begun: list[RunPublisher]) -> dict[str, Any]:
        run = turn.run

        def send(message: Mapping[str, Any]) -> None:
            self._deliver({"type": "run", "turn": turn.id, "message": dict(message)})

        def decide(approval: Named, approved: bool) -> None:
            self._decide(turn.id, approval, approved)

        can_decide = self._conversation.agent.platform.capabilities.approvals
        publisher = RunPublisher(
            run, send=send, keep=_keep_nothing, decide=decide if can_decide else None
        )
        self._told[turn.id] = (run, publisher)
        first = publisher.first()
        if not (run.done and run.transcript.is_final):
            begun.append(publisher)
        return self._turn_state(turn, first)

    def _turn_state(self, turn: Turn, run: Snapshot) -> dict[str, Any]:
        return turn_state(turn, run, generation=self._generations[turn.id])

    def _whole(self) -> dict[str, Any]:
        turns = [self._turn_state(turn, self._told[turn.id][1].snapshot()) for turn in self._turns]
        return chat_snapshot(self._seq, self._head, turns)

    def _resync(self) -> None:
        with self._lock:
            if self._closed:
                return
            turns = self._conversation.turns
            begun: list[RunPublisher] = []
            if not self._turns or not turns or turns[0] is not self._turns[0]:
                self._forget()
            for turn in turns[len(self._turns) :]:
                self._turns.append(turn)
                self._add(turn, begun)
            self._head = chat_head(self._conversation)
            # A number of its own: should the answer be lost, the next message shows a gap.
            self._seq += 1
            self._deliver({"type": "snapshot", **self._whole()})
            self._begin(begun)

    def _forget(self) -> None:
        for _, publisher in self._told.values():
            publisher.close()
        self._told.clear()
        self._turns.clear()

    def _deliver(self, message: Mapping[str, Any]) -> None:
        try:
            self._send(message)
        except Exception:
            # The comm may be gone; a page that is still there sees the gap and asks.
            _log.debug("A chat's page could not be told", exc_info=True)

    # -- from the page ---------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        # At once: the page tells its reader when the kernel is too busy to listen.
        self._deliver({"type": "ack", "id": command["id"]})
        if command["type"] == "send" and not self._uploads.ready(command["attachments"]):
            self._hold(command)
        else:
            self._perform(command)

    def _hold(self, command: Send) -> None:
        """Wait for files that are on their way: a host may let the question overtake them."""
        with self._lock:
            if self._closed:
                return
            before = self._put_down()
            self._held = command
            self._late = threading.Timer(LATE, self._release, (command,))
            self._late.daemon = True
            self._late.start()
        if before is not None and before["id"] != command["id"]:
            self._deliver({"type": "refused", "id": before["id"], "message": _OVERTAKEN})

    def _put_down(self) -> Send | None:
        """Hold no question any longer; return the one that was held."""
        held, self._held = self._held, None
        if self._late is not None:
            self._late.cancel()
            self._late = None
        return held

    def _release(self, command: Send) -> None:
        with self._lock:
            if self._held is not command or self._closed:
                return
            self._put_down()
        self._perform(command)

    def _perform(self, command: Command) -> None:
        try:
            self._do(command)
        except Exception as error:
            if not isinstance(error, AgentnbError):
                _log.info("A page's command failed", exc_info=error)
            refused = {"type": "refused", "id": command["id"], "message": _told_briefly(error)}
            self._deliver(refused)

    def _do(self, command: Command) -> None:
        chat = self._conversation
        if command["type"] == "send":
            self._ask(command)
        elif command["type"] == "again":
            if not self._is_known(command["id"]):
                chat.regenerate(command["turn"], new_id=command["id"])
        elif command["type"] == "show":
            # Not under the lock: whoever observes the chat is called by this, and may take long.
            chat.show(command["turn"])
            with self._lock:
                # Confirmed also where it was shown already: the page may think otherwise.
                self._head.pop("shown", None)
                self._tell()
        elif command["type"] == "new":
            chat.new()
        elif command["type"] == "open":
            chat.open(command["key"])
        else:
            found = [session_state(info) for info in chat.sessions()]
            self._deliver({"type": "sessions", "id": command["id"], "sessions": found})

    def _ask(self, command: Send) -> None:
        if self._is_known(command["id"]):
            return
        chat = self._conversation
        kept = None if command["keep"] is None else chat.turn(command["keep"])
        media = self._uploads.take(
            command["attachments"], beside=0 if kept is None else len(kept.media)
        )
        shown = [item["attachment"] for item in command["attachments"]]
        if kept is not None:
            media = [*kept.media, *media]
            shown = [*kept.attachments, *shown]
        chat.send(
            command["text"],
            parent=command["parent"],
            turn_id=command["id"],
            media=media,
            attachments=shown,
            edited=command["edit"],
        )

    def _is_known(self, turn: str) -> bool:
        """Tell whether a command came twice: a page may not have heard the answer."""
        with self._lock:
            return turn in self._told

    def _decide(self, turn: str, approval: Named, approved: bool) -> None:
        # Asking the platform blocks, and the page's next message must not wait for it.
        def work() -> None:
            chat = self._conversation
            try:
                (chat.approve if approved else chat.deny)(approval, turn_id=turn)
            except Exception as error:
                # Somebody else decided first, in another view or by code: nothing is left to say.
                if asked.status == "paused" and asked.successor is None:
                    chat.warn(_told_briefly(error))
            finally:
                with self._lock:
                    self._deciding.discard((turn, approval))

        with self._lock:
            told = self._told.get(turn)
            if (
                told is None
                or (asked := told[0]).status != "paused"
                or (turn, approval) in self._deciding
                or len(self._deciding) >= _DECISIONS
            ):
                _log.debug("A page decided what waits for no decision, or is being decided")
                return
            self._deciding.add((turn, approval))
        threading.Thread(target=work, name="agentnb-decision", daemon=True).start()


def _keep_nothing(snapshot: Snapshot) -> None:
    """Leave the trait alone: the page keeps its own, and a reload is given a new one."""


def _told_briefly(error: BaseException) -> str:
    """Return an error as one line for the reader, with what to do next where that is known."""
    if isinstance(error, AgentnbError):
        return one_line(str(error), 500)
    return one_line(f"{type(error).__name__}: {error}", 500)

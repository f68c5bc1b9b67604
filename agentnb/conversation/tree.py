"""The tree of a conversation's turns, and the session that each question goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from agentnb.agents import Agent
from agentnb.conversation.changes import is_answered
from agentnb.conversation.earlier import newer_runs
from agentnb.conversation.turns import ChatSession, Turn, branch_end, prior_messages, turns_of_runs
from agentnb.errors import RequestError
from agentnb.platforms.base import Message, Platform
from agentnb.run.run import Run

# As many turns as the history keeps runs.
_MAX_TURNS: Final = 10_000


class LastTurn:
    """Type of the default of a parameter for which None has another meaning."""


LAST: Final = LastTurn()


@dataclass(frozen=True, slots=True)
class Placement:
    """The session of a question, the first messages of a new one, and a note for the user."""

    chat_session: ChatSession
    history: list[Message] = field(default_factory=list[Message])
    note: str | None = None


class Tree:
    """The turns of one conversation, in order of creation.

    ``root`` is the session of a first question, ``current`` the last turn of the current branch,
    ``active`` the turns without a complete answer.  ``session`` is the id of a session to continue,
    ``runs`` are its known runs.
    """

    def __init__(self, session: str | None = None, runs: Sequence[Run] = ()) -> None:
        self.root = ChatSession(id=session)
        self.turns: list[Turn] = []
        self.active: set[Turn] = set()
        self.current: Turn | None = None
        self._by_id: dict[str, Turn] = {}
        self.add(*turns_of_runs(runs, self.root))
        if self.turns and (history := tuple(runs[0].request.history)):
            self.root.history = history
            self.turns[0].note = _opening_note(len(history))

    def add(self, *turns: Turn) -> None:
        """Add turns, and show the last of them."""
        for turn in turns:
            self.turns.append(turn)
            self._by_id[turn.id] = turn
            if not is_answered(turn.run):
                self.active.add(turn)
            self.current = turn

    def add_newer(self, agent: Agent, before: Turn | None) -> list[Turn]:
        """Add the turns sent elsewhere in the session that ends with ``before``; return them."""
        chat_session = self._continued(before)
        if chat_session is None or chat_session.id is None:
            return []
        after = None if chat_session.tip is None else chat_session.tip.run.created_at
        runs = newer_runs(agent, chat_session.id, known=self._runs(), after=after)
        added = turns_of_runs(runs, chat_session, before)
        self.add(*added)
        return added

    def turn(self, turn_id: str) -> Turn:
        """Return the turn of this id.

        Raises:
            RequestError: there is none.
        """
        turn = self._by_id.get(turn_id)
        if turn is None:
            raise RequestError(
                "This conversation has no such message.", hint="Another one may have been opened."
            )
        return turn

    def holds(self, turn: Turn) -> bool:
        return self._by_id.get(turn.id) is turn

    def show(self, turn: Turn) -> bool:
        before, self.current = self.current, branch_end(turn, self.turns)
        return self.current is not before

    def last_in(self, session: str) -> Turn | None:
        """Return the last turn of ``session``, None where it has none."""
        for turn in reversed(self.turns):
            if turn.reached and turn.run.session_id == session:
                return turn
        return None

    def place(self, before: Turn | None, platform: Platform) -> Placement:
        if (continued := self._continued(before)) is not None:
            return Placement(continued)
        anchor = _anchor(before)
        chat_session = self.root if anchor is None else anchor.chat_session
        prior = prior_messages(anchor)
        history = [*self.root.history, *prior.messages]
        if anchor is None and not history and not self._has_unknown_turns:
            return Placement(ChatSession())
        name = platform.name
        intro = f"New session: {name} does not know the one before any more"
        ending = "so the agent does not know the messages before this one."
        if not platform.capabilities.history:
            reason = (
                f"{name} gave none to go on in"
                if chat_session.id is None
                else f"{name} cannot branch one"
            )
            lead = intro if chat_session.gone else f"New session: {reason}"
            return Placement(ChatSession(), note=f"{lead}, {ending}")
        if not history:
            if chat_session.gone:
                return Placement(ChatSession(), note=f"{intro}, {ending}")
            why = "no answer among them has text"
            if self._has_unknown_turns:
                why = "they are not known here"
            note = f"New session: the agent does not know the messages before this one, for {why}."
            return Placement(ChatSession(), note=note)
        missing = [
            *(["their attachments"] if prior.has_attachments else []),
            *(["answers without text"] if prior.has_empty_answers else []),
            *(["those that are not known here"] if self._has_unknown_turns else []),
        ]
        but = f", but not {' and not '.join(missing)}" if missing else ""
        note = None
        if chat_session.gone:
            note = f"{intro}. It begins with the messages before this one{but}."
        elif missing:
            note = f"New session: the agent got the messages before this one{but}."
        elif anchor is None:
            note = _opening_note(len(history))
        return Placement(ChatSession(), history, note)

    @property
    def _has_unknown_turns(self) -> bool:
        """Whether the first session has more turns than these."""
        if not self.turns:
            return self.root.id is not None
        # The run that began a session was sent without its id.
        return self.turns[0].run.request.session_id is not None

    def _continued(self, before: Turn | None) -> ChatSession | None:
        """Return the session that a question after ``before`` continues, None for a new one."""
        anchor = _anchor(before)
        chat_session = self.root if anchor is None else anchor.chat_session
        can_continue = chat_session.tip is anchor and (chat_session.id or anchor is None)
        return chat_session if can_continue and not chat_session.gone else None

    def _runs(self) -> set[Run]:
        known: set[Run] = set()
        for turn in self.turns:
            run: Run | None = turn.run
            while run is not None:
                known.add(run)
                run = run.successor
        return known


class Archive:
    """The other conversations, with all their branches: the latest 10,000 turns."""

    def __init__(self) -> None:
        self._trees: list[Tree] = []

    def runs(self, current: Tree) -> list[Run]:
        return [turn.run for tree in (*self._trees, current) for turn in tree.turns]

    def put(self, tree: Tree) -> None:
        if not tree.turns:
            return
        self._trees.append(tree)
        count = sum(len(each.turns) for each in self._trees)
        while count > _MAX_TURNS:
            count -= len(self._trees.pop(0).turns)

    def take(self, session: str) -> Tree | None:
        """Remove and return the conversation that has ``session``, None where there is none."""
        for index in range(len(self._trees) - 1, -1, -1):
            if self._trees[index].last_in(session) is not None:
                tree = self._trees.pop(index)
                # An approved run may be active again.
                tree.active = {turn for turn in tree.turns if not is_answered(turn.run)}
                return tree
        return None


def _anchor(turn: Turn | None) -> Turn | None:
    while turn is not None and not turn.reached:
        turn = turn.before
    return turn


def _opening_note(count: int) -> str:
    messages = "message, which is" if count == 1 else "messages, which are"
    return f"The session began with {count:,} earlier {messages} not shown here."

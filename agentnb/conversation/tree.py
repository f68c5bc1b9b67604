"""A conversation's turns with the branch shown, and those of the conversations before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentnb.agents import Agent
from agentnb.conversation.changes import is_over
from agentnb.conversation.earlier import newer_runs
from agentnb.conversation.placing import began_note, goes_on_in
from agentnb.conversation.turns import Strand, Turn, chained, last_after
from agentnb.errors import RequestError
from agentnb.run.run import Run

__all__ = ["SHOWN", "Shelf", "Shown", "Tree"]

# As many turns as the history keeps runs.
_KEPT: Final = 10_000


class Shown:
    """Stands for the last turn shown, where None is a meaning of its own."""


SHOWN: Final = Shown()


class Tree:
    """The turns of one conversation, in order of making; ``root`` is a first question's session.

    ``shown`` is the last turn of the branch shown, ``going`` those whose answer is under way.
    ``session`` is the id of a session to go on in, ``runs`` are what is known of it.
    """

    def __init__(self, session: str | None = None, runs: Sequence[Run] = ()) -> None:
        self.root = Strand(id=session)
        self.turns: list[Turn] = []
        self.going: set[Turn] = set()
        self.shown: Turn | None = None
        self._by_id: dict[str, Turn] = {}
        self.add(*chained(runs, self.root))
        if self.turns and (told := tuple(runs[0].request.history)):
            self.root.told = told
            self.turns[0].note = began_note(len(told))

    @property
    def unseen(self) -> bool:
        """Whether there is more in the first session than the turns tell."""
        if not self.turns:
            return self.root.id is not None
        # One that began a session was sent without any.
        return self.turns[0].run.request.session_id is not None

    def add(self, *turns: Turn) -> None:
        """Add turns, and show the last of them."""
        for turn in turns:
            self.turns.append(turn)
            self._by_id[turn.id] = turn
            if not is_over(turn.run):
                self.going.add(turn)
            self.shown = turn

    def catch_up(self, agent: Agent, before: Turn | None) -> list[Turn]:
        """Take in what was asked elsewhere in the session that ``before`` is the last turn of.

        Returns the turns that were added, after ``before``; none where it is no session's last.
        """
        strand = goes_on_in(before, self.root)
        if strand is None or strand.id is None:
            return []
        after = None if strand.tip is None else strand.tip.run.created_at
        runs = newer_runs(agent, strand.id, known=self._runs(), after=after)
        taken = chained(runs, strand, before)
        self.add(*taken)
        return taken

    def turn(self, turn_id: str) -> Turn:
        """Return the turn of this id.

        Raises:
            RequestError: there is none.
        """
        found = self._by_id.get(turn_id)
        if found is None:
            raise RequestError(
                "This conversation has no such message.", hint="Another one may have been opened."
            )
        return found

    def holds(self, turn: Turn) -> bool:
        """Tell whether ``turn`` is one of these."""
        return self._by_id.get(turn.id) is turn

    def show(self, turn: Turn) -> bool:
        """Show the branch through ``turn``, up to the last that follows; tell whether it was not.

        Of those that follow it, the last made is the end of the branch.
        """
        before, self.shown = self.shown, last_after(turn, self.turns)
        return self.shown is not before

    def last_in(self, session: str) -> Turn | None:
        """Return the last turn that was said in ``session``, None where none was."""
        for turn in reversed(self.turns):
            if turn.reached and turn.run.session_id == session:
                return turn
        return None

    def _runs(self) -> set[Run]:
        """Return the runs of the turns, and those as which they go on."""
        known: set[Run] = set()
        for turn in self.turns:
            run: Run | None = turn.run
            while run is not None:
                known.add(run)
                run = run.successor
        return known


class Shelf:
    """The conversations that are not shown now, as they were left: the latest 10,000 turns."""

    def __init__(self) -> None:
        self._trees: list[Tree] = []

    def runs(self, shown: Tree) -> list[Run]:
        """Return the runs of all turns, with those of the conversation shown."""
        return [turn.run for tree in (*self._trees, shown) for turn in tree.turns]

    def put(self, tree: Tree) -> None:
        """Keep a conversation; the oldest go where there are too many turns."""
        if not tree.turns:
            return
        self._trees.append(tree)
        count = sum(len(each.turns) for each in self._trees)
        while count > _KEPT:
            count -= len(self._trees.pop(0).turns)

    def take(self, session: str) -> Tree | None:
        """Take out the conversation to which ``session`` belongs, None where there is none."""
        for index in range(len(self._trees) - 1, -1, -1):
            if self._trees[index].last_in(session) is not None:
                tree = self._trees.pop(index)
                # A run that was approved meanwhile may be under way.
                tree.going = {turn for turn in tree.turns if not is_over(turn.run)}
                return tree
        return None

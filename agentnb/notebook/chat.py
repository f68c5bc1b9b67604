"""`Chat`: a conversation in a cell, and `chat`, which begins one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from IPython.display import (
    display,  # pyright: ignore[reportUnknownVariableType]  # untyped in IPython
    update_display,  # pyright: ignore[reportUnknownVariableType]
)
from pydantic import SecretStr

from agentnb._http.deadlines import Deadlines
from agentnb.agents import Agent, agent
from agentnb.conversation import Conversation, runs_in_session
from agentnb.conversation.record import chat_view, to_dict
from agentnb.errors import ConfigError
from agentnb.notebook.display import Mode, choose_mode, current_shell, outlive
from agentnb.notebook.variables import resolved
from agentnb.render.chat import chat_html, chat_markdown, chat_text
from agentnb.run.run import Run
from agentnb.tables.runs import run_table
from agentnb.widgets.chat import ChatWidget

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Chat", "chat"]


class Chat(ChatWidget):
    """A conversation with ``agent``, to talk in a cell and from code.

    As a cell's value it is a live chat where somebody looks on, one static output in a notebook
    that runs unattended, and text in a terminal; ``chat.send("...").wait()`` asks from code.
    ``session``, an id or a run, is what to go on in.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        session: str | Run | None = None,
        params: Mapping[str, Any] | None = None,
        earlier: Sequence[Run] = (),
        mode: Mode | None = None,
    ) -> None:
        # Callers without types are told, too.
        if not isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"{agent!r} is no agent.", hint="agentnb.chat(...) takes names and functions."
            )
        self._mode: Mode | None = mode
        self._display_id = uuid.uuid4().hex
        self._was_shown = False
        self._frozen = False
        if isinstance(session, Run):
            session = session.session_id
        super().__init__(Conversation(agent, session=session, params=params, earlier=earlier))

    def runs(self) -> pd.DataFrame:
        """Return the runs of this conversation, all branches, as `agentnb.runs` tells of runs."""
        return run_table(self.conversation.runs)

    def export(self, path: str | Path) -> Path:
        """Write the conversation as the suffix says; return the path.

        ``.md`` and ``.html`` hold the branch shown, ``.json`` every branch and every event.

        Raises:
            ValueError: the suffix is another.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        match suffix:
            case ".md":
                content = chat_markdown(chat_view(self.conversation))
            case ".html":
                content = chat_html(chat_view(self.conversation), standalone=True)
            case ".json":
                data = to_dict(self.conversation)
                content = json.dumps(data, indent=2, ensure_ascii=False, default=str)
            case other:
                raise ValueError(f"A chat is exported as .md, .html or .json, not as '{other}'.")
        # As for a run: a lone surrogate in an answer is no reason to lose the rest.
        errors = "backslashreplace" if suffix == ".json" else "replace"
        path.write_text(content, encoding="utf-8", errors=errors, newline="\n")
        return path

    def freeze(self) -> None:
        """Put a static output in the place of the live chat, which any viewer shows.

        The conversation stays usable from code; shown again it is static.  In a page that was
        loaded anew, which cannot tell the output any more, the live chat stays, as it does in
        marimo.
        """
        if self._frozen or current_shell() is None:
            return
        self._frozen = True
        if self._was_shown:
            update_display(self._static(), raw=True, display_id=self._display_id)
            outlive(self)
        else:
            self.close()

    def _may_open(self) -> bool:
        # Nobody would see it, and everything that is opened is saved with the notebook.
        return super()._may_open() and not self._frozen and self._how() != "static"

    def _how(self) -> Mode:
        return self._mode or choose_mode(current_shell())

    def _static(self, *, live: bool = False) -> dict[str, str]:
        view = replace(chat_view(self.conversation), live=live)
        return {"text/plain": chat_text(view), "text/html": chat_html(view)}

    def _ipython_display_(self) -> None:
        how = self._how()
        if how == "text":
            print(chat_text(chat_view(self.conversation)))  # noqa: T201
            return
        if how == "widget" and self._may_open():
            self.open()
            made = cast("Any", super())._repr_mimebundle_()
            data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", made)
            self._was_shown = True
            # For viewers without a kernel, and without a widget manager.
            bundle = {**data, **self._static(live=True)}
            display(bundle, metadata=metadata, raw=True, display_id=self._display_id)
            return
        display(self._static(), raw=True)


def chat(
    target: str | Callable[..., Any] | Agent | Run | None = None,
    *,
    session: str | Run | None = None,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    options: Mapping[str, Any] | None = None,
    deadlines: Deadlines | None = None,
    **params: Any,
) -> Chat:
    """Return a conversation with the agent that ``target`` names.

    ``target`` is what `agent` takes, an `Agent`, the name of a variable of the notebook that holds
    an `Agent` or a function, or a `Run`, whose session it shows first and goes on in.  ``session``,
    an id or a run, is what to go on in otherwise; what this process ran in it is shown.  ``params``
    go with every question; all else is as of `agent`.

    A plain function has a thread of its own; an async one shares agentnb's event loop and must not
    block it, else the chat stands still, too: there, write ``await asyncio.to_thread(...)``, or
    give a plain function.

    Raises:
        ConfigError: the name, the address or the key is missing or wrong.
    """
    # At once, so that a traceback that shows local variables does not show it.
    api_key = SecretStr(api_key.strip()) if isinstance(api_key, str) else api_key
    if base_url is None and api_key is None and deadlines is None and options is None:
        target = resolved(target, current_shell())
    if isinstance(target, Agent | Run):
        if not (base_url is None and api_key is None and deadlines is None and options is None):
            raise ConfigError(f"{target!r} needs no base_url, api_key, deadlines or options.")
        if isinstance(target, Run):
            session = session if session is not None else target
            target = Agent(target.client, target.agent, title=target.title)
        chosen = target
    else:
        chosen = agent(
            target, base_url=base_url, api_key=api_key, options=options, deadlines=deadlines
        )
    key = session.session_id if isinstance(session, Run) else session
    earlier = runs_in_session(chosen, key)
    if isinstance(session, Run) and not earlier:
        # Whoever gives a run wants to see it, whether or not it has a session.
        earlier = [session]
    return Chat(chosen, session=session, params=params, earlier=earlier)

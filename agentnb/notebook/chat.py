"""`Chat`: a conversation in a cell, and `chat`, which opens one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from agentnb._http.timeout import Deadlines
from agentnb.agents import Agent, agent
from agentnb.conversation import Conversation, runs_in_session
from agentnb.conversation.record import chat_view, to_dict
from agentnb.errors import ConfigError
from agentnb.notebook.display import (
    Mode,
    choose_mode,
    current_shell,
    display,
    keep_alive,
    show_bundle,
    update_display,
)
from agentnb.notebook.variables import resolve_variable
from agentnb.render.chat import chat_html, chat_markdown, chat_text
from agentnb.run.run import Run
from agentnb.tables.runs import run_table
from agentnb.widgets.chat import ChatWidget

if TYPE_CHECKING:
    import pandas as pd


class Chat(ChatWidget):
    """A conversation with ``agent``, usable in a cell and from code.

    As a cell's value it is a live chat in an interactive frontend, one static output in an
    unattended notebook, and text in a terminal; ``chat.send("...").wait()`` sends from code.
    ``session``, an id or a run, is the session to continue.
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
        # For callers without type checks.
        if not isinstance(agent, Agent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"{agent!r} is no agent.", hint="agentnb.chat(...) takes names and functions."
            )
        self._mode: Mode | None = mode
        self._display_id = uuid.uuid4().hex
        self._is_displayed = False
        self._frozen = False
        if isinstance(session, Run):
            session = session.session_id
        super().__init__(Conversation(agent, session=session, params=params, earlier=earlier))

    def runs(self) -> pd.DataFrame:
        """Return the runs of all branches as a table like that of `agentnb.runs`."""
        return run_table(self.conversation.runs)

    def export(self, path: str | Path) -> Path:
        """Write the conversation in the format of the suffix; return the path.

        ``.md`` and ``.html`` contain the branch shown, ``.json`` all branches and events.

        Raises:
            ValueError: the suffix is unknown.
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
        # A lone surrogate in an answer must not prevent the export.
        errors = "backslashreplace" if suffix == ".json" else "replace"
        path.write_text(content, encoding="utf-8", errors=errors, newline="\n")
        return path

    def freeze(self) -> None:
        """Replace the live chat by a static output, which any viewer can display.

        The conversation stays usable from code; displayed again it is static.  The live chat stays
        in a reloaded page, which cannot find the output any more, and in marimo.
        """
        if self._frozen or current_shell() is None:
            return
        self._frozen = True
        if self._is_displayed:
            update_display(self._static(), raw=True, display_id=self._display_id)
            keep_alive(self)
        else:
            self.close()

    def _may_open(self) -> bool:
        # An unattended notebook would save the state of a widget that nobody can see.
        return super()._may_open() and not self._frozen and self._effective_mode() != "static"

    def _effective_mode(self) -> Mode:
        return self._mode or choose_mode(current_shell())

    def _static(self, *, live: bool = False) -> dict[str, str]:
        view = replace(chat_view(self.conversation), live=live)
        return {"text/plain": chat_text(view), "text/html": chat_html(view)}

    def _ipython_display_(self) -> None:
        mode = self._effective_mode()
        if mode == "widget" and self._may_open():
            self.open()
            widget = cast("Any", super())._repr_mimebundle_()
            data, metadata = cast("tuple[dict[str, Any], dict[str, Any]]", widget)
            self._is_displayed = True
            # The static output is for viewers without a kernel or a widget manager.
            bundle = {**data, **self._static(live=True)}
            display(bundle, metadata=metadata, raw=True, display_id=self._display_id)
            return
        show_bundle(self._static(), mode)


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
    """Return a conversation with an agent.

    ``target`` is as for `agent`, an `Agent`, the name of a variable that holds an `Agent` or a
    function, or a `Run`, whose session is continued.  ``session``, an id or a run, is the session
    to continue otherwise; its known runs are displayed.  ``params`` are sent with every question;
    the other arguments are as for `agent`.

    A plain function runs in its own thread; an async one shares agentnb's event loop and must not
    block it, else the chat blocks, too: use ``await asyncio.to_thread(...)`` or a plain function.

    Raises:
        ConfigError: the name, the address or the key is missing or wrong.
    """
    # First, so that no traceback with local variables shows the key.
    api_key = SecretStr(api_key.strip()) if isinstance(api_key, str) else api_key
    if base_url is None and api_key is None and deadlines is None and options is None:
        target = resolve_variable(target, current_shell())
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
        # Displayed even if it has no session.
        earlier = [session]
    return Chat(chosen, session=session, params=params, earlier=earlier)

"""`Maps`: the side of an agent that asks it a whole table of prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentnb._http.retries import Retries
from agentnb._support.tracebacks import hide_frames
from agentnb.batch.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from agentnb._http import Terms
    from agentnb.batch.executor import Prepares
    from agentnb.run.run import Run

__all__ = ["Maps"]


class Maps(Protocol):
    """What can be mapped over a table; `agentnb.Agent` is one."""

    def prepare(
        self, prompt: str, *, with_terms: Callable[[Terms], Terms] | None = None, **options: Any
    ) -> Run:
        """Return the run of ``prompt``, unsent."""
        ...

    def again(self) -> tuple[Recipe, Callable[[Recipe], Prepares]]:
        """Return how it is made again in another process, and by what."""
        ...

    def map(
        self,
        data: Any,
        prompt: str | Callable[[Any], str] | None = None,
        *,
        concurrency: int = 8,
        rpm: float | None = None,
        on_error: Literal["keep", "raise"] = "keep",
        retries: int | Retries = 0,
        checkpoint: str | Path | None = None,
        client: Any = None,
        progress: bool = True,
        prefix: str = "",
        **options: Any,
    ) -> pd.DataFrame:
        """Ask one question for each row of ``data``; return the table with the answers (blocks).

        ``data`` is a pandas DataFrame or Series (or what has ``to_pandas``), a mapping of columns,
        or any iterable, which is gone through lazily: of texts, mappings, dataclasses, pydantic
        models, tuples or whatever else.  ``prompt`` is a template in which ``{{name}}`` stands for
        the row's column, key or field of that name, ``{{item}}`` for an item that has none and
        ``{{0}}`` for a tuple's first; or a callable, row -> prompt, whose row is a pandas Series
        where ``data`` is a table, else the item; or None, where the items are the prompts.  Values
        stand in it as ``str`` has them; a row in which one is missing (None, NaN) is not sent.

        The table has the input's index, order and columns, then `RESULT_COLUMNS`, each name with
        ``prefix`` before it.  With ``output_type``, a column for each of its fields follows the
        status, ``parsed_<field>``; an answer of another form is a failed row.

        At most ``concurrency`` rows run at once, and ``rpm`` begin in a minute, evenly spaced.
        Where the platform refuses one for now (429, or a 5xx that says when to come again), all
        wait, and only half as many run at once until enough have succeeded.  That is no failure;
        for any other that may pass, ``retries`` is how many further runs a row gets.  `Retries`
        there are those of the runs' requests instead.

        ``on_error="keep"`` leaves a row that failed with its status, error and what it has of an
        answer; with "raise" the first one ends the map.  ``checkpoint`` is a file that remembers
        the rows that completed: the same call, also in another process after this one was killed,
        asks only for the others.  Answers are in it, prompts and keys are not.  Ctrl-C cancels
        what runs; `agentnb.last_map` has what is done, and where there was no checkpoint, the
        history keeps it under a name that ``checkpoint`` takes.

        ``client`` is a ``distributed.Client``: the rows then run on the workers of its cluster,
        each of which finds the platform's key in its own environment.  ``progress`` shows a bar.
        ``options`` are those of `start` but ``session``; ``media`` may be a callable, row -> media.

        Raises:
            RequestError: the template names what there is not, a column would be there twice, or
                no row could be sent like this; nothing was sent.
            BatchError: a row failed, and ``on_error`` is "raise".
            ConfigError: the checkpoint cannot be used, or the agent cannot be sent to ``client``.
        """
        try:
            from agentnb.batch.mapping import Call, map_rows

            call = Call(
                data=data,
                prompt=prompt,
                concurrency=concurrency,
                rpm=rpm,
                on_error=on_error,
                retries=retries,
                checkpoint=checkpoint,
                client=client,
                progress=progress,
                prefix=prefix,
                options=options,
            )
            return map_rows(self, *self.again(), call)
        except KeyboardInterrupt as error:
            hide_frames(error)
            raise

    async def amap(
        self, data: Any, prompt: str | Callable[[Any], str] | None = None, **options: Any
    ) -> pd.DataFrame:
        """Do as `map` with the same options, for async code: its event loop is not held up.

        ``data`` and what is callable are gone through in a thread of their own.  Cancelling the
        awaiting task ends the map as Ctrl-C does.
        """
        from agentnb.batch.mapping import Call, amap_rows

        return await amap_rows(self, *self.again(), Call.of(data, prompt, options))

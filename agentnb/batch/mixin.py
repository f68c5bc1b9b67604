"""`MapMixin`: the methods of an agent that map it over a table of prompts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from agentnb._http.retry import Retries
from agentnb._support.tracebacks import hide_frames
from agentnb.batch.rows import Recipe, RunFactory

if TYPE_CHECKING:
    import pandas as pd


class MapMixin(RunFactory, Protocol):
    """An agent that can be mapped over a table, such as `agentnb.Agent`."""

    def again(self) -> tuple[Recipe, Callable[[Recipe], RunFactory]]:
        """Return a recipe of the agent, and the function that recreates the agent from it."""
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
        """Run a prompt for each row of ``data``; return the table with the answers (blocks).

        ``data`` is a pandas DataFrame or Series (or has ``to_pandas``), a mapping of columns, or an
        iterable, which is read lazily: of texts, mappings, dataclasses, pydantic models, tuples or
        other values.  ``prompt`` is a template in which ``{{name}}`` is replaced by the row's
        column, key or field of that name, ``{{item}}`` by an item without fields and ``{{0}}`` by a
        tuple's first; or a callable, row -> prompt, whose row is a pandas Series if ``data`` is a
        table, else the item; or None, if the items are the prompts.  Values are converted by
        ``str``; a row in which one is missing (None, NaN) is not sent.

        The table has the input's index, order and columns, then `RESULT_COLUMNS`, each name
        prefixed with ``prefix``.  With ``output_type``, a column for each of its fields follows the
        status, ``parsed_<field>``; a row whose answer does not conform is failed.

        At most ``concurrency`` rows run at once, and ``rpm`` start per minute, evenly spaced.  When
        the platform refuses a row for now (429, or a 5xx with Retry-After), all wait, and half as
        many run at once until enough have succeeded.  That is no failure; after other retryable
        failures, a row gets up to ``retries`` further runs.  `Retries` there apply to the runs'
        requests instead.

        With ``on_error="keep"`` a failed row has its status, error and partial answer; with "raise"
        the first one ends the map.  ``checkpoint`` is a file of the rows that completed: the same
        call, also in another process after this one was killed, runs only the others.  It holds
        answers, but no prompts and keys.  Ctrl-C cancels running rows; `agentnb.last_map` returns
        the rows that are done, and without a checkpoint, the history keeps them under a name that
        ``checkpoint`` takes.

        ``client`` is a ``distributed.Client``: the rows then run on the workers of its cluster,
        which find the platform's key in their own environment.  ``progress`` displays a bar.
        ``options`` are those of `start` except ``session``; ``media`` may be a callable, row ->
        media.

        Raises:
            RequestError: the template has an unknown name, a column would be there twice, or an
                option is invalid; no request was sent.
            BatchError: a row failed, and ``on_error`` is "raise".
            ConfigError: the checkpoint cannot be used, or the agent cannot be sent to ``client``.
        """
        try:
            from agentnb.batch.mapping import MapCall, map_rows

            call = MapCall(
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
        """Like `map` with the same options, without blocking the event loop.

        ``data`` is read, and callables are called, in a separate thread.  Cancelling the awaiting
        task ends the map as Ctrl-C does.
        """
        from agentnb.batch.mapping import MapCall, amap_rows

        return await amap_rows(self, *self.again(), MapCall.of(data, prompt, options))

"""The public names, and what importing them costs."""

from __future__ import annotations

import agentnb
from tests.children import python

PUBLIC = [
    "Agent",
    "AgentnbError",
    "BatchError",
    "Chat",
    "Comparison",
    "ConfigError",
    "Deadlines",
    "Evaluation",
    "HistoryError",
    "Media",
    "PlatformError",
    "PlaybackError",
    "RequestError",
    "Retries",
    "Run",
    "RunError",
    "TransportError",
    "UnsupportedError",
    "__version__",
    "agent",
    "allow_nested_loops",
    "attach",
    "charts",
    "chat",
    "compare",
    "errors",
    "evaluate",
    "evaluation",
    "events",
    "history",
    "last_map",
    "last_run",
    "load_ipython_extension",
    "monitor",
    "playback",
    "record",
    "replay",
    "runs",
    "sandbox",
    "sessions",
    "set_prices",
    "show",
    "sse",
    "sync",
    "sync_async",
    "tool",
    "tool_calls",
    "unload_ipython_extension",
    "usage",
    "wait",
]


def test_the_public_names() -> None:
    """Who changes this list changes what users may write, and says so in the change log."""
    assert agentnb.__all__ == PUBLIC
    assert dir(agentnb) == sorted(PUBLIC)


def test_each_can_be_had_in_a_fresh_process() -> None:
    """In any order, each as the first that is asked for."""
    python(f"""
        import subprocess, sys
        names = {PUBLIC!r}
        for name in names:
            import agentnb
            assert getattr(agentnb, name) is getattr(agentnb, name), name
            for module in [m for m in sys.modules if m.partition(".")[0] == "agentnb"]:
                del sys.modules[module]
        import agentnb
        for name in reversed(names):
            getattr(agentnb, name)
    """)


def test_all_at_once() -> None:
    python(f"""
        from agentnb import *
        missing = [n for n in {PUBLIC!r} if n not in globals()]
        assert not missing, missing
    """)


def test_a_name_that_is_not_there() -> None:
    done = python("""
        import agentnb
        try:
            agentnb.no_such_thing
        except AttributeError as error:
            print(error)
    """)
    assert done.stdout == "module 'agentnb' has no attribute 'no_such_thing'\n"


HEAVY = (
    *("IPython", "altair", "anywidget", "asyncio", "httpx", "nh3"),
    *("pandas", "pydantic", "sqlalchemy", "starlette"),
)


def test_importing_it_is_cheap() -> None:
    done = python(f"""
        import sys
        before = set(sys.modules)
        import agentnb
        print(sorted(m for m in {HEAVY!r} if m in sys.modules and m not in before))
    """)
    assert done.stdout == "[]\n"


def test_a_function_runs_without_what_only_platforms_and_tables_need() -> None:
    done = python("""
        import sys
        import agentnb

        assert agentnb.agent(lambda prompt: prompt).run("hi").text == "hi"
        heavy = ("IPython", "alembic", "anywidget", "httpx", "pandas", "uvicorn")
        print([name for name in heavy if name in sys.modules])
    """)
    assert done.stdout == "[]\n"


def test_it_comes_before_any_thread() -> None:
    done = python("""
        import threading
        import agentnb

        agentnb.agent
        agentnb.Run
        print([t.name for t in threading.enumerate()])
    """)
    assert done.stdout == "['MainThread']\n"


def test_the_version_is_what_is_installed() -> None:
    from importlib.metadata import version

    assert version("jupyter-agentnb") == agentnb.__version__


def test_errors_form_one_tree() -> None:
    for name in agentnb.errors.__all__:
        kind = getattr(agentnb.errors, name)
        # A warning is caught by who wants it as an error, and is not one of those that are raised.
        raised = isinstance(kind, type) and issubclass(kind, BaseException)
        if raised and not issubclass(kind, Warning):
            assert issubclass(kind, agentnb.AgentnbError), name

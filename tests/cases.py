"""Run one test for each of many cases, as subtests.

Hundreds of small cases are collected and reported as one test; each that fails is reported alone.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest

__all__ = ["cases"]

# How much of a value the report of a failed case prints, in characters.
_MAX_LABEL: Final = 80

Test = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Cases:
    """The values of some arguments of a test: labels, and as many values as arguments."""

    arguments: tuple[str, ...]
    entries: tuple[tuple[str, tuple[Any, ...]], ...]


def cases(names: str, values: Iterable[Any] | Mapping[str, Any]) -> Callable[[Test], Test]:
    """Call the test once for each of ``values``, each time as a subtest.

    ``names`` are its arguments, separated by commas; with several, each value is a tuple.  Of a
    mapping, the test gets the values, and a failure prints the keys.  Several of these decorators
    make the product.  Fixtures are made once for all cases.
    """
    arguments = tuple(name.strip() for name in names.split(","))
    labeled = (
        cast("Mapping[str, Any]", values).items()
        if isinstance(values, Mapping)
        else ((repr(value)[:_MAX_LABEL], value) for value in values)
    )
    entries = [(label, value if len(arguments) > 1 else (value,)) for label, value in labeled]
    own = _Cases(arguments, tuple(entries))

    def decorate(test: Test) -> Test:
        function: Test
        inner: tuple[_Cases, ...]
        function, inner = getattr(test, "cases", (test, ()))
        product = (own, *inner)

        def combinations() -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
            for combination in itertools.product(*(part.entries for part in product)):
                labels: dict[str, str] = {}
                given: dict[str, Any] = {}
                for part, (label, value) in zip(product, combination, strict=True):
                    labels[", ".join(part.arguments)] = label
                    given |= zip(part.arguments, value, strict=True)
                yield labels, given

        @functools.wraps(function)
        def run(*args: Any, subtests: pytest.Subtests, **fixtures: Any) -> None:
            for labels, given in combinations():
                with subtests.test(**labels):
                    function(*args, **fixtures, **given)

        @functools.wraps(function)
        async def run_async(*args: Any, subtests: pytest.Subtests, **fixtures: Any) -> None:
            for labels, given in combinations():
                with subtests.test(**labels):
                    await function(*args, **fixtures, **given)

        wrapper: Any = run_async if inspect.iscoroutinefunction(function) else run
        taken = {name for part in product for name in part.arguments}
        signature = inspect.signature(function)
        fixtures = [each for name, each in signature.parameters.items() if name not in taken]
        subtests = inspect.Parameter("subtests", inspect.Parameter.KEYWORD_ONLY)
        wrapper.__signature__ = signature.replace(parameters=[*fixtures, subtests])
        wrapper.cases = (function, product)
        return wrapper

    return decorate

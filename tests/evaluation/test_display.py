"""How an evaluation shows, and what works without the extra."""

from __future__ import annotations

from typing import Any

import pandas as pd

from agentnb.evaluation import evaluate
from tests.children import python


def shown(found: Any) -> str:
    """Return what a notebook asks it for."""
    html: str = found._repr_html_()
    return html


def test_as_text() -> None:
    frame = pd.DataFrame(
        {"answer": ["a", "b", None, None], "status": ["completed", "completed", "failed", None]}
    )
    found = evaluate(frame, {"same": "a", "length": len})
    assert repr(found).splitlines() == [
        "4 rows evaluated; 1 without an answer, counted as failed; 1 not finished, left out",
        "check   n  passed   mean    95 % interval  errors",
        "same    3       1  0.333   0.061 to 0.792       0",
        "length  3       –  0.667  -0.768 to 2.101       0",
    ]
    assert repr(evaluate(frame, "a", failed="skip")).startswith(
        "4 rows evaluated; 1 without an answer, left out; 1 not finished, left out\n"
    )


def test_it_is_short_and_acts_on_nothing() -> None:
    frame = pd.DataFrame({"answer": ["<script>alert(1)</script>"]})
    acting = "<img src=x onerror=alert(1)>\x1b[31m\u202e" + "x" * 99
    checks = {acting: "a", **{f"check {n}": "a" for n in range(30)}}
    found = evaluate(frame, checks)
    html, text = shown(found), repr(found)
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "script" not in html + text
    assert not any(char in html + text for char in "\x1b\u202e")
    assert "x" * 40 not in text
    assert html.count("<tr>") == 21
    assert "… and 11 more" in html
    assert "… and 11 more" in text
    # MathJax would read dollars in it.
    assert 'class="mathjax_ignore tex2jax_ignore"' in html


WITHOUT = """
    import sys
    for name in ("scipy", "jsonschema"):
        sys.modules[name] = None
    import pandas as pd
    import agentnb
    from agentnb import evaluation

    frame = pd.DataFrame({"answer": ["a", "b"]})
    found = evaluation.evaluate(frame, {"same": "a", "length": lambda answer: 0.5})
"""


def test_without_the_extra_there_are_verdicts() -> None:
    done = python(f"""{WITHOUT}
    print(found.table["same"].tolist())
    print(found)
    """)
    assert done.stdout.splitlines() == [
        "[True, False]",
        "2 rows evaluated",
        "check   n  passed   mean  95 % interval  errors",
        "same    2       1  0.500              –       0",
        "length  2       –  0.500              –       0",
    ]


def test_errors_without_the_extra_name_it() -> None:
    done = python(f"""{WITHOUT}
    for need in (
        found.summary,
        lambda: found.compare(found),
        lambda: evaluation.json_schema({{"type": "object"}}),
        lambda: evaluation.json_schema(column="form"),
    ):
        try:
            need()
        except agentnb.ConfigError as error:
            print(error)
    """)
    scipy = "Confidence intervals need SciPy, which is not installed."
    schemas = "JSON schemas need jsonschema, which is not installed."
    install = "Install it: pip install 'jupyter-agentnb[evaluate]'"
    expected = [f"{scipy} {install}"] * 2 + [f"{schemas} {install}"] * 2
    assert done.stdout.splitlines() == expected


def test_it_is_imported_when_it_is_needed() -> None:
    done = python("""
        import sys
        from agentnb.evaluation import evaluate, exact, tolerance

        exact("a"), tolerance(1)
        heavy = ("jsonschema", "numpy", "pandas", "scipy")
        print([name for name in heavy if name in sys.modules])
    """)
    assert done.stdout == "[]\n"

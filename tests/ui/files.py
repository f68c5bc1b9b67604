"""Notebook files: what a test writes before a page opens them, and reads once they were saved."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Output = dict[str, Any]


def write_notebook(
    path: Path,
    cells: Sequence[str],
    *,
    outputs: Sequence[Sequence[Output]] = (),
    kernel: bool = True,
) -> None:
    """Write a notebook of code cells; `outputs` are those of the first cells.

    Without ``kernel`` it names one that is installed nowhere, in a language that has none.
    """
    language = "python" if kernel else "none"
    notebook: dict[str, Any] = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            # A notebook is trusted for what it holds: none shall be like one of another test.
            "title": path.parent.name,
            "kernelspec": {
                "name": "python3" if kernel else "none",
                "display_name": "Python 3" if kernel else "None",
                "language": language,
            },
            "language_info": {"name": language},
        },
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "metadata": {},
                "execution_count": None,
                "source": source,
                "outputs": list(outputs[number]) if number < len(outputs) else [],
            }
            for number, source in enumerate(cells)
        ],
    }
    path.write_text(json.dumps(notebook, indent=1), "utf-8")


def write_marimo(path: Path, cells: Sequence[str]) -> None:
    """Write a marimo notebook; a cell's last expression is what it shows."""
    made = "".join(
        f"@app.cell\ndef _():\n{textwrap.indent(cell, '    ')}\n    return\n\n\n" for cell in cells
    )
    path.write_text(f"import marimo\n\napp = marimo.App()\n\n\n{made}", "utf-8")


def read_outputs(path: Path, cell: int) -> list[Output]:
    """The outputs of a cell as the file holds them, multi-line strings joined."""
    notebook = json.loads(path.read_text("utf-8"))
    return [_joined(output) for output in notebook["cells"][cell]["outputs"]]


def _joined(output: Output) -> Output:
    bundle: dict[str, str | list[str]] = output.get("data", {})
    # A string stays itself: its characters are joined.
    data = {mime: "".join(lines) for mime, lines in bundle.items()}
    return {**output, "data": data} if data else output

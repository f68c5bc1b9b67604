"""Executes the quickstart on the embedded sandbox and shows what came out.

The executed notebook goes to `build/demo/` as .ipynb and .html; each cell with its plain-text
outputs goes to the terminal. No key and no account is used: the sandbox is a local server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bootstrap
import surroundings

NOTEBOOK = bootstrap.ROOT / "notebooks" / "quickstart.ipynb"
TARGET = bootstrap.ROOT / "build" / "demo"


def main() -> int:
    # Before anything of Jupyter is imported: it looks up its folders when it is.
    private = surroundings.clean(bootstrap.environment(), home=TARGET / "home")
    os.environ.clear()
    os.environ.update(private)

    import nbclient
    import nbformat

    # nbformat has no types for what it reads.
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=120,
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
        # The kernel's remarks on its own transport would stand between the answer and its reader.
        extra_arguments=["--log-level=ERROR"],
    )
    TARGET.mkdir(parents=True, exist_ok=True)
    executed = TARGET / NOTEBOOK.name
    print(f"Running {place(NOTEBOOK)} on the embedded sandbox ...\n", flush=True)
    failure = ""
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        failure = f"{error.ename}: {error.evalue}"
    finally:
        nbformat.write(notebook, executed)
    for cell in notebook.cells:
        show(cell)
    if failure:
        print(f"The notebook failed: {failure}", file=sys.stderr)
        return 1
    page = export(notebook)
    print(f"The executed notebook: {place(executed)}")
    print(f"As a page to open:     {place(page)}")
    return 0


def export(notebook: Any) -> Path:
    from nbconvert.exporters import HTMLExporter

    exporter: Any = HTMLExporter()
    body, _ = exporter.from_notebook_node(notebook)
    page = TARGET / NOTEBOOK.with_suffix(".html").name
    page.write_text(body, "utf-8")
    return page


def show(cell: Any) -> None:
    texts = [text for output in cell.get("outputs", []) if (text := plain(output).strip("\n"))]
    if not texts:
        return
    for line in cell.source.splitlines():
        print(f"│ {line}".rstrip())
    for text in texts:
        print(f"\n{text}")
    print()


def plain(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return str(output.data.get("text/plain", ""))


def place(path: Path) -> str:
    """The path as seen from the current folder, where it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    sys.exit(main())

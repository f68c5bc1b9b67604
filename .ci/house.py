"""Print the figures that say how large and how tidy the package is.

Lines and modules, imports that make a cycle (those in functions and for type checkers count),
private names of other libraries, classes that hold the fields of a run, and words that the
project's prose avoids.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "agentnb"
SMALL = 60
WORDS = re.compile(r"\b(asked|told|shown|said|heard|nobody|aside|whoever)\b", re.IGNORECASE)
# A class with a status and this many of them holds a run; conditions on runs have tuples of them.
RUN_FIELDS = {"run_id", "session_id", "status", "agent", "platform", "prompt", "model", "duration"}
ENOUGH_FIELDS = 4


def main() -> int:
    modules = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
    texts = {name: path.read_text("utf-8") for name, path in modules.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    lengths = {name: len(text.splitlines()) for name, text in texts.items()}
    lines = sum(lengths.values())
    root = [path for path in modules.values() if path.parent == PACKAGE]
    small = [name for name, length in lengths.items() if length < SMALL]
    rings = list(cycles({name: imports(name, trees) for name in trees}))
    privates = list(private_names(trees))
    shapes = [f"{name}.{found}" for name, tree in trees.items() for found in run_classes(tree)]
    words = sum(len(WORDS.findall(text)) for text in texts.values())
    figure("lines of Python", lines)
    figure("modules", len(modules))
    figure("modules at the root", len(root))
    figure(f"modules below {SMALL} lines", len(small))
    figure("imports that make a cycle", len(rings), [", ".join(ring) for ring in rings])
    figure("private names of other libraries", len(privates), privates)
    figure("classes that hold a run", len(shapes), shapes)
    figure("avoided words per 1,000 lines", f"{1000 * words / lines:.1f}")
    return 0


def figure(label: str, value: object, details: list[str] | None = None) -> None:
    print(f"{label:<36}{value:>8}")
    for detail in details or ():
        print(f"    {detail}")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(name: str, trees: dict[str, ast.Module]) -> set[str]:
    """Return the modules of the package that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in trees else node.module)
    return {module for module in found if module in trees and module != name}


def cycles(edges: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield the sets of modules that reach each other; the root's lazy imports do not count."""
    edges = {**edges, "agentnb": set()}
    reached = {module: reach(module, edges) for module in edges}
    seen: set[str] = set()
    for module in edges:
        ring = sorted(other for other in reached[module] if module in reached[other])
        if len(ring) > 1 and module not in seen:
            seen.update(ring)
            yield ring


def reach(module: str, edges: dict[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        for other in edges[waiting.pop()] - reached:
            reached.add(other)
            waiting.append(other)
    return reached


def private_names(trees: dict[str, ast.Module]) -> Iterator[str]:
    """Yield where a name with a leading underscore is used that this package does not define."""
    nodes = [(name, node) for name, tree in trees.items() for node in ast.walk(tree)]
    own = {name for _, node in nodes for name in defined(node)}
    for module, node in nodes:
        for name in used(node):
            # What IPython calls by such names is documented.
            is_hook = name.startswith(("_repr_", "_ipython_")) or name in (
                "_asdict",
                "_render_traceback_",
            )
            is_private = name.startswith("_") and not name.startswith("__")
            if is_private and not is_hook and name not in own:
                yield f"{module}:{getattr(node, 'lineno', 0)} {name}"


def defined(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.Attribute(value=ast.Name(id="self" | "cls"), ctx=ast.Store()):
            yield node.attr
        case ast.arg():
            yield node.arg
        case ast.alias(asname=str(name)):
            yield name
        case _:
            pass


def used(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Attribute():
            yield node.attr
        case ast.ImportFrom(level=0):
            yield from (alias.name for alias in node.names)
        case ast.Call(
            func=ast.Name(id="getattr" | "hasattr" | "setattr"),
            args=[_, ast.Constant(value=str(name)), *_],
        ):
            yield name
        case _:
            pass


def run_classes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            fields = {
                statement.target.id: ast.unparse(statement.annotation)
                for statement in node.body
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
            }
            # A filter has several statuses; it selects runs and holds none.
            is_filter = fields.get("status", "tuple").startswith(("tuple", "Some"))
            if not is_filter and len(fields.keys() & RUN_FIELDS) >= ENOUGH_FIELDS:
                yield node.name


if __name__ == "__main__":
    sys.exit(main())

"""Every kind of note has its line in the docs."""

from __future__ import annotations

import ast
from pathlib import Path

import bnfold

PACKAGE = Path(bnfold.__file__).parent
PAGES = [(PACKAGE.parent / "docs" / name).read_text(encoding="utf-8") for name in ("inference.md", "loading.md")]


def kinds() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note":
                found |= {arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)}
    return found


def test_every_note_is_in_the_docs() -> None:
    assert {"never-updated", "graph-borrowed"} < kinds()
    assert [kind for kind in sorted(kinds()) if not any(f"`{kind}`" in page for page in PAGES)] == []

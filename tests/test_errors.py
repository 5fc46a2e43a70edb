"""Every error that a user may meet says what to do next."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import bnfold
from bnfold import errors
from bnfold.graph.stages import Note

PACKAGE = Path(bnfold.__file__).parent
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.BnfoldError)}
BUGS = {
    ("export/scope.py", "is read, but the lowering of"),  # a lowering that breaks its contract
    ("export/scope.py", "which has no ONNX form"),  # asked for by a lowering, after all ops were looked up
}
"""Errors that no model leads to, unless the code that raises them is wrong."""


def _raised() -> list[tuple[str, ast.Call]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                found.append((path.relative_to(PACKAGE).as_posix(), node))
    return found


def test_every_error_has_a_hint_when_it_is_raised() -> None:
    raised = [(place, call) for place, call in _raised() if call.func.id != "OutputsDifferError"]  # type: ignore[attr-defined]
    assert len(raised) > 100
    without = [
        f"{place}:{call.lineno}: {ast.unparse(call)}"
        for place, call in raised
        if "hint" not in {keyword.arg for keyword in call.keywords}
        and not any(place == there and words in ast.unparse(call) for there, words in BUGS)
    ]
    assert without == []


@pytest.mark.parametrize("kind", sorted(KINDS - {"BnfoldError"}))
def test_every_error_is_caught_as_one(kind: str) -> None:
    assert issubclass(getattr(bnfold.errors, kind), errors.BnfoldError)


@pytest.mark.parametrize(
    ("report", "hint"),
    [
        (SimpleNamespace(notes=(Note("warning", "random-left", "…", (), "feed them"),)), "random numbers .* feed them"),
        (SimpleNamespace(check=SimpleNamespace(problems=("y:0: TensorFlow itself gives NaN on random",))), "--data"),
        (SimpleNamespace(notes=(), problems=("y:0: another dtype",)), "--layers"),
    ],
)
def test_difference_is_told_by_what_causes_it(report: SimpleNamespace, hint: str) -> None:
    assert re.search(hint, errors.OutputsDifferError(report).hint or "")

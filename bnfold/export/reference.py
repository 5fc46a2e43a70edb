"""The table of ops as a page: ``python -m bnfold.export.reference > docs/ops.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from inspect import getdoc, getmodule

from bnfold.export.placement import AsTensorFlow, Spatial
from bnfold.export.rewrites.list_reads import LIST_OPS
from bnfold.export.table import (
    ALL,
    ANY,
    COMPLEX,
    DEFAULT_OPSET,
    FLOATS,
    INTEGERS,
    NEWEST_OPSET,
    NUMBERS,
    OLDEST_OPSET,
    Row,
    rows,
)

_HEAD = f"""# The ops

Written by `python -m bnfold.export.reference > docs/ops.md` from the table that the exporter works by.

- dtypes: what the attribute `T`, or else the first output, may be. onnxruntime lacks kernels for some of
  them; there the op runs in a wider dtype between casts (float64 convolutions in float32, for want of a wider one).
- opset: the oldest with a lowering. Files have opset {OLDEST_OPSET} to {NEWEST_OPSET}. The default,
  {DEFAULT_OPSET}, is the oldest in which reductions take their axes as an input and ScatterND reduces:
  onnxruntime 1.14 and later load it.
- layout: *channels first* ops make images NCHW, *follows* take them as they come, the others read
  TensorFlow's order.

An op that is not here, or a form of one that ONNX cannot express, is refused before anything is written, with
all the others of the graph. [Adding an op](adding_an_op.md) says how to lower it yourself.
"""

Dtypes = tuple[str, ...]

_GROUPS: tuple[tuple[str, Dtypes], ...] = (
    ("any", ANY),
    ("all but complex", ALL),
    ("numbers, complex", (*NUMBERS, *COMPLEX)),
)
_PARTS: tuple[tuple[str, Dtypes], ...] = (
    ("numbers", NUMBERS),
    ("floats", FLOATS),
    ("integers", INTEGERS),
    ("complex", COMPLEX),
)


def page() -> str:
    """docs/ops.md: one table for each family of ops."""
    families: dict[str, list[Row]] = {}
    for row in rows():
        if row.origin is None:
            families.setdefault(_family(row), []).append(row)
    count = sum(map(len, families.values()))
    lines = [_HEAD, f"{count} ops.", *_tables(families), *_patterns(), *_rewritten()]
    return "\n".join(lines) + "\n"


def _tables(families: dict[str, list[Row]]) -> Iterator[str]:
    for family in sorted(families):
        yield f"\n## {family}\n"
        yield "| op | dtypes | opset | layout |"
        yield "|---|---|---|---|"
        for row in families[family]:
            yield f"| {row.op} | {dtype_words(row.dtypes)} | {row.opset} | {_layout(row)} |"


def _patterns() -> Iterator[str]:
    yield "\n## Patterns\n"
    yield "Several TensorFlow nodes that become one:\n"
    for row in rows():
        if row.origin is not None:
            yield f"- {row.origin}"


def _rewritten() -> Iterator[str]:
    yield "\n## Control flow and lists of TensorFlow 1 and 2\n"
    yield "These are written as other TensorFlow ops first:\n"
    yield "- Switch and Merge as If; Enter, Merge, LoopCond, Switch, NextIteration and Exit as While."
    yield f"- Lists of tensors as one tensor, their items along axis 0: {', '.join(sorted(LIST_OPS))}."


def _family(row: Row) -> str:
    """The first line of the docstring of the lowering's module, without its full stop."""
    module = getmodule(row.lower)
    return (getdoc(module) or "").partition("\n")[0].rstrip(".") if module else ""


def dtype_words(dtypes: Iterable[str]) -> str:
    """``dtypes`` in as few words as there are for them.

    >>> dtype_words(("float16", "bfloat16", "float32", "float64", "bool"))
    'floats, bool'
    """
    left = list(dict.fromkeys(dtypes))
    for word, group in _GROUPS:
        if set(left) == set(group):
            return word
    words = []
    for word, group in _PARTS:
        if set(group) <= set(left):
            words.append(word)
            left = [dtype for dtype in left if dtype not in group]
    return ", ".join([*words, *left])


def _layout(row: Row) -> str:
    if isinstance(row.placement, Spatial):
        return "channels first"
    return "" if isinstance(row.placement, AsTensorFlow) else "follows"


if __name__ == "__main__":
    sys.stdout.write(page())

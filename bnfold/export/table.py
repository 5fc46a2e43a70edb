"""The table: which TensorFlow op is lowered by which function, for which dtypes, from which opset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from bnfold.export.placement import AS_TENSORFLOW, Placement

if TYPE_CHECKING:
    from bnfold.export.call import Call

DEFAULT_OPSET = 18
"""The oldest opset in which every reduction takes its axes as an input and ScatterND reduces: IR version 8, so
that onnxruntime 1.14 (early 2023) and everything since loads the file."""

OLDEST_OPSET = 13
NEWEST_OPSET = 26
"""The newest that onnxruntime 1.31 loads."""

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = FLOATS + INTEGERS
COMPLEX = ("complex64", "complex128")
ALL = (*NUMBERS, "bool", "string")
ANY = (*ALL, *COMPLEX)

Lower = Callable[["Call"], "str | tuple[str, ...]"]
"""Emits the ONNX nodes of one TensorFlow node and returns the names of the values of its outputs."""


@dataclass(frozen=True)
class Row:
    """How one TensorFlow op is lowered.

    Attributes
    ----------
    op : str
    lower : callable
    dtypes : tuple of str
        What the attribute ``T`` (or else the dtype of output 0) may be.
    placement : Placement
        How the op stands to the layout of its values.
    opset : int
        The oldest opset with a lowering.
    origin : str or None
        For an op that is not TensorFlow's but made by a rewrite: what of, in a sentence.
    facts : mapping
        What tells this row from the others with the same function: ``call.fact("onnx")``.
    """

    op: str
    lower: Lower
    dtypes: tuple[str, ...] = NUMBERS
    placement: Placement = AS_TENSORFLOW
    opset: int = OLDEST_OPSET
    origin: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


_ROWS: dict[str, Row] = {}
_USERS: dict[str, Row] = {}


def lowers(
    *ops: str,
    dtypes: Iterable[str] = NUMBERS,
    placement: Placement = AS_TENSORFLOW,
    opset: int = OLDEST_OPSET,
    origin: str | None = None,
    **facts: Any,
) -> Callable[[Lower], Lower]:
    """Enter the decorated function in the table as the lowering of ``ops``; may be applied more than once.

    The arguments are the fields of `Row`.
    """

    def enter(lower: Lower) -> Lower:
        for op in ops:
            if op in _ROWS:
                raise ValueError(f"{op} has two lowerings: {_ROWS[op].lower.__name__} and {lower.__name__}")
            _ROWS[op] = Row(op, lower, tuple(dtypes), placement, opset, origin, facts)
        return lower

    return enter


def register_op(op: str, *, dtypes: Iterable[str] = ALL) -> Callable[[Lower], Lower]:
    """Let the decorated function lower ``op``, in place of bnfold's own lowering if there is one.

    Parameters
    ----------
    op : str
        TensorFlow's op type; it may be one that TensorFlow itself does not know.
    dtypes : iterable of str
        What the attribute ``T`` (or else the dtype of output 0) may be.

    Examples
    --------
    >>> @register_op("MyOp")
    ... def my_op(call):
    ...     return call.emit("Mul", call.input(0), call.scalar(call.attr("factor"), call.dtype(0)))
    """

    def enter(lower: Lower) -> Lower:
        _USERS[op] = Row(op, lower, tuple(dtypes))
        return lower

    return enter


@cache
def _load() -> None:
    from bnfold.export import ops

    for module in iter_modules(ops.__path__):
        import_module(f"{ops.__name__}.{module.name}")


def find_row(op: str) -> Row | None:
    """The row that lowers ``op``; a user's comes before bnfold's own."""
    _load()
    return _USERS.get(op) or _ROWS.get(op)


def rows() -> list[Row]:
    """bnfold's own rows, by op."""
    _load()
    return [_ROWS[op] for op in sorted(_ROWS)]

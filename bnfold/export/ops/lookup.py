"""Lookup tables."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.table import ALL, lowers
from bnfold.graph import Array, DType
from bnfold.graph.dtypes import FLOAT32, INT64, STRING

ML = "ai.onnx.ml"

_KEYS = {STRING: "keys_strings", INT64: "keys_int64s"}
_VALUES = {
    STRING: ("values_strings", "default_string"),
    INT64: ("values_int64s", "default_int64"),
    FLOAT32: ("values_floats", "default_float"),
}
"""How LabelEncoder calls keys, values and default of each dtype that it has."""


@lowers("TableLookup", dtypes=ALL, origin="A lookup in a table of constants: LabelEncoder.")
def lower_table_lookup(call: Call) -> str:
    """Inputs: what is looked up, the keys, and the values with the default after them."""
    values = call.constant_value(2, "table")
    return _encoded(call, values[:-1], values[-1], call.out_dtype())


@lowers("TableRow", dtypes=("int64",), origin="A lookup of anything but scalars: LabelEncoder finds the row to gather.")
def lower_table_row(call: Call) -> str:
    count = len(call.constant_value(1, "table"))
    return _encoded(call, np.arange(count), np.int64(count), INT64)


def _encoded(call: Call, values: Array, default: object, dtype: DType) -> str:
    keys, asked, given = call.constant_value(1, "table"), call.input(0), _carrier(call.dtype(0))
    target = _carrier(dtype)
    if given != call.dtype(0):
        asked = call.cast(asked, given)
    if not len(keys):  # which LabelEncoder does not take
        keys, values = np.zeros(1), np.array([default])
    attrs = {
        _KEYS[given]: _items(keys, given),
        _VALUES[target][0]: _items(values, target),
        _VALUES[target][1]: _items([default], target)[0],
    }
    found = call.emit("LabelEncoder", asked, domain=ML, **attrs)
    return found if target == dtype else call.cast(found, dtype)


def _carrier(dtype: DType) -> DType:
    if dtype == STRING:
        return STRING
    return FLOAT32 if dtype.is_floating else INT64


def _items(values: object, dtype: DType) -> list[object]:
    items = np.asarray(values).reshape(-1).tolist()
    if dtype == STRING:
        return [item if isinstance(item, bytes) else str(item) for item in items]
    return [float(item) if dtype == FLOAT32 else int(item) for item in items]


@lowers(
    *("HashTable", "HashTableV2", "AnonymousHashTable"),
    *("MutableHashTable", "MutableHashTableV2", "AnonymousMutableHashTable"),
    *("MutableHashTableOfTensors", "MutableHashTableOfTensorsV2", "AnonymousMutableHashTableOfTensors"),
    *("MutableDenseHashTable", "MutableDenseHashTableV2", "AnonymousMutableDenseHashTable"),
    dtypes=(*ALL, "resource"),
)
def lower_table(call: Call) -> str:
    """A table whose entries the file has is gone before this."""
    reason = call.attr("_unfilled") or "its entries are not known"
    raise call.refusal(reason, hint="save the model as a SavedModel, which keeps the entries of its tables")


@lowers("LookupTableFind", "LookupTableFindV2", dtypes=ALL)
@lowers("LookupTableSize", "LookupTableSizeV2", dtypes=("int64",))
def lower_unfilled_lookup(call: Call) -> str:
    raise call.refusal("the entries of its table are not known")

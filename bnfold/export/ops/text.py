"""Strings, as far as ONNX has ops for them: most since opset 20."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.table import INTEGERS, lowers
from bnfold.graph.dtypes import INT64, STRING

TEXT = ("string",)


@lowers("StringJoin", dtypes=TEXT, opset=20)
def lower_string_join(call: Call) -> str:
    """One after another, the separator in between; scalars go with every element of the others."""
    separator = call.attr("separator")
    value = call.input(0)
    for index in range(1, call.arity):
        if separator:
            value = call.emit("StringConcat", value, call.scalar(separator, STRING))
        value = call.emit("StringConcat", value, call.input(index))
    return value


@lowers("StringLower", dtypes=TEXT, case="LOWER")
@lowers("StringUpper", dtypes=TEXT, case="UPPER")
def lower_string_case(call: Call) -> str:
    """Of ASCII letters; under the C locale ONNX leaves all others alone too."""
    if call.attr("encoding"):
        raise call.refusal("it changes the case of more than ASCII letters")
    flat = call.emit("Reshape", call.input(0), call.ints([-1]))
    changed = call.emit("StringNormalizer", flat, case_change_action=call.fact("case"), locale="C")
    return call.emit("Reshape", changed, call.emit("Shape", call.input(0)))


@lowers("StaticRegexFullMatch", dtypes=("bool",), opset=20)
def lower_static_full_match(call: Call) -> str:
    """Both use RE2."""
    return call.emit("RegexFullMatch", call.input(0), pattern=call.attr("pattern"))


@lowers("RegexFullMatch", dtypes=("bool",), opset=20)
def lower_full_match(call: Call) -> str:
    return call.emit("RegexFullMatch", call.input(0), pattern=_text(call, 1, "pattern"))


@lowers("StringSplitV2", dtypes=("int64",), opset=20)
def lower_string_split(call: Call) -> tuple[str, ...]:
    """Parts as a sparse tensor: indices, values, dense shape."""
    separator, limit = _text(call, 1, "separator"), call.attr("maxsplit")
    most = limit if limit > 0 else None
    if most and not separator:
        raise call.refusal("it counts splits at white space otherwise than ONNX")
    parts, counts = call.emit_many("StringSplit", call.input(0), delimiter=separator, maxsplit=most, outputs=2)
    if separator:  # then the empty string has one part, itself
        counts = call.emit("Max", counts, call.scalar(1, INT64))
    columns = _columns(call, parts)
    present = call.emit("Less", columns, call.unsqueeze(counts, [1]))
    return _sparse(call, parts, present)


@lowers("StringSplit", dtypes=("int64",), opset=20)
def lower_string_split_at_characters(call: Call) -> tuple[str, ...]:
    delimiter = _text(call, 1, "delimiter")
    if len(delimiter) != 1:
        raise call.refusal("it splits at several characters, or at none")
    parts, counts = call.emit_many("StringSplit", call.input(0), delimiter=delimiter, outputs=2)
    present = call.emit("Less", _columns(call, parts), call.unsqueeze(counts, [1]))
    if call.attr("skip_empty"):
        filled = call.emit("Not", call.emit("Equal", parts, call.scalar("", STRING)))
        present = call.emit("And", present, filled)
    return _sparse(call, parts, present)


def _text(call: Call, index: int, what: str) -> str:
    value = call.constant_value(index, what).item()
    return value.decode() if isinstance(value, bytes) else str(value)


def _columns(call: Call, parts: str) -> str:
    width = call.emit("Gather", call.emit("Shape", parts), call.scalar(1, INT64))
    return call.emit("Range", call.scalar(0, INT64), width, call.scalar(1, INT64))


def _sparse(call: Call, parts: str, present: str) -> tuple[str, ...]:
    """Those of ``parts`` that are ``present``, by row and by their number in it."""
    places = call.emit("Transpose", call.emit("NonZero", present), perm=[1, 0])
    counts = call.emit("CumSum", call.cast(present, INT64), call.scalar(1, INT64))
    number = call.emit("Sub", call.emit("GatherND", counts, places), call.ints([1]))
    row = call.emit("Slice", places, call.ints([0]), call.ints([1]), call.ints([1]))
    rows = call.emit("Slice", call.emit("Shape", parts), call.ints([0]), call.ints([1]))
    widest = call.reshape(call.reduce("ReduceMax", counts, [0, 1]), [1])
    return (
        call.emit("Concat", row, call.unsqueeze(number, [1]), axis=1),
        call.emit("GatherND", parts, places),
        call.emit("Concat", rows, widest, axis=0),
    )


@lowers("AsString", dtypes=(*INTEGERS,))
def lower_as_string(call: Call) -> str:
    """Of integers; of floats the two write the digits differently."""
    if call.attr("width") != -1 or call.attr("fill") or call.attr("precision") != -1:
        raise call.refusal("it pads the digits")
    return call.cast(call.input(0), STRING)


@lowers("StringToNumber", dtypes=("float32", "float64", "int32", "int64"))
def lower_string_to_number(call: Call) -> str:
    return call.cast(call.input(0), call.out_dtype())

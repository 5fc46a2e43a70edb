"""Strings, as far as ONNX has ops for them: most since opset 20."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.patterns import literals, plain_rewrite
from bnfold.export.table import INTEGERS, lowers
from bnfold.export.texts import joined_rows, replaced
from bnfold.graph.dtypes import BOOL, INT64, STRING

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


@lowers("ReduceJoin", dtypes=TEXT, opset=20)
def lower_reduce_join(call: Call) -> str:
    """Over one axis after another, in the order in which they are named."""
    rank, value = call.rank(), call.input(0)
    axes = [int(axis) % rank for axis in call.constant_value(1, "axes").reshape(-1)]
    sizes, left = call.known_shape(), list(range(rank))
    for axis in axes:
        place = left.index(axis)
        front = [place, *(other for other in range(len(left)) if other != place)]
        value = joined_rows(call, call.transpose(value, front), sizes[axis], call.attr("separator"))
        left.pop(place)
    return call.unsqueeze(value, sorted(axes)) if call.attr("keep_dims") else value


@lowers("StaticRegexReplace", dtypes=TEXT, opset=20)
@lowers("RegexReplace", dtypes=TEXT, opset=20)
def lower_regex_replace(call: Call) -> str:
    """Of literal text, or of single characters one after another: ONNX can split strings, not match parts of them."""
    static = call.op == "StaticRegexReplace"
    pattern = call.attr("pattern") if static else _text(call, 1, "pattern")
    rewrite = call.attr("rewrite") if static else _text(call, 2, "rewrite")
    new, once = plain_rewrite(rewrite), not call.attr("replace_global")
    repeats = new == "" and not once and pattern.startswith("[") and pattern.endswith("]+")
    texts = literals(pattern[:-1] if repeats else pattern)
    if texts is None or new is None:
        raise call.refusal(f"ONNX cannot replace what {pattern!r} matches, only literal text")
    if len(texts) > 1 and (once or any(text in new for text in texts)):
        raise call.refusal(f"{pattern!r} is several texts, which ONNX can only replace one after another")
    value = call.input(0)
    for text in texts:
        value = replaced(call, value, text, new, once=once)
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
    delimiter, value = _text(call, 1, "delimiter"), call.input(0)
    if not delimiter:
        raise call.refusal("it splits into single bytes, for which ONNX has no op")
    for other in delimiter[1:]:
        value = replaced(call, value, other, delimiter[0])
    delimiter = delimiter[0]
    parts, counts = call.emit_many("StringSplit", value, delimiter=delimiter, outputs=2)
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


@lowers("AsString", dtypes=(*INTEGERS, "bool"))
def lower_as_string(call: Call) -> str:
    """Of integers and bools; of floats the two write the digits differently."""
    if call.attr("width") != -1 or call.attr("fill") or call.attr("precision") != -1:
        raise call.refusal("it pads the digits")
    if call.dtype() == BOOL:
        return selected(call, call.input(0), call.scalar("true", STRING), call.scalar("false", STRING), STRING)
    return call.cast(call.input(0), STRING)


@lowers("StringToNumber", dtypes=("float32", "float64", "int32", "int64"))
def lower_string_to_number(call: Call) -> str:
    return call.cast(call.input(0), call.out_dtype())

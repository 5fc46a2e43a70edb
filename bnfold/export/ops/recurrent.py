"""ONNX' recurrent layers, which a rewrite makes of loops."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.recurrent.directions import BOTH, SECOND
from bnfold.export.table import lowers
from bnfold.graph.dtypes import INT32, INT64

OPTIONAL = {
    "LSTM": ("sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("sequence_lens", "initial_h"),
    "RNN": ("sequence_lens", "initial_h"),
}
"""The inputs after X, W, R and B, in ONNX' order."""


@lowers("LSTM", dtypes=("float32",), origin="a loop over time that is an LSTM")
@lowers("GRU", dtypes=("float32",), origin="a loop over time that is a GRU")
@lowers("RNN", dtypes=("float32",), origin="a loop over time that is a plain recurrent layer")
def lower_recurrent_layer(call: Call) -> tuple[str, ...]:
    """Input ``k`` is what ``roles[k]`` names; the outputs are those of all steps, and the last states.

    Of a layer that runs both ways: these three for each, and the outputs side by side.
    """
    both = call.attr("direction") == "bidirectional"
    given = {role: call.input(index) for index, role in enumerate(call.attr("roles"))}
    if "sequence_lens" in given:
        given["sequence_lens"] = call.cast(given["sequence_lens"], INT32)
    for role in ("initial_h", "initial_c"):
        if role in given and not both:
            given[role] = call.unsqueeze(given[role], [0])
    inputs = [given.get(role, "") for role in ("X", "W", "R", "B", *OPTIONAL[call.op])]
    whole, *lasts = call.emit_many(
        call.op,
        *inputs,
        outputs=3 if call.op == "LSTM" else 2,
        hidden_size=call.attr("hidden_size"),
        direction=call.attr("direction"),
        activations=call.attr("activations"),
        activation_alpha=call.attr("alpha") or None,
        activation_beta=call.attr("beta") or None,
        linear_before_reset=call.attr("linear_before_reset") if call.op == "GRU" else None,
    )
    initial = [given.get(role, "") for role in ("initial_h", "initial_c")]
    lasts = [_if_started(call, given.get("sequence_lens", ""), *pair) for pair in zip(initial, lasts, strict=False)]
    if both:
        return _of_both_ways(call, whole, lasts)
    return call.squeeze(whole, [1]), *(call.squeeze(last, [0]) for last in lasts)


def _of_both_ways(call: Call, whole: str, lasts: list[str]) -> tuple[str, ...]:
    results = []
    for way in range(2):
        parts = [(whole, 1), *((last, 0) for last in lasts)]
        for index in range(SECOND):
            read = index < len(parts) and call.is_read(way * SECOND + index)
            results.append(
                call.emit("Gather", parts[index][0], call.scalar(way, INT64), axis=parts[index][1]) if read else ""
            )
    if call.is_read(BOTH):
        rows = call.transpose(whole, [0, 2, 1, 3])
        results.append(call.emit("Reshape", rows, call.ints([0, 0, 2 * call.attr("hidden_size")])))
    return tuple(results)


def _if_started(call: Call, lengths: str, initial: str, last: str) -> str:
    """onnxruntime gives zeros, not the initial state, for rows of length 0."""
    if not lengths or not initial:
        return last
    empty = call.unsqueeze(call.emit("Equal", lengths, call.scalar(0, INT32)), [0, 2])
    return call.emit("Where", empty, initial, last)

"""From one dtype to another."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex, paired, parts
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import ANY, lowers


@lowers("Cast", dtypes=ANY, placement=FOLLOWS)
def lower_cast(call: Call) -> str:
    """A real number gets the imaginary part 0; a complex one loses its imaginary part."""
    source, target = call.dtype(), call.out_dtype()
    value = call.input(0)
    if source == target:
        return value
    if not target.name.startswith("complex"):
        if is_complex(call):
            value = call.squeeze(parts(call, value)[0], [-1])
        return call.cast(value, target)
    if is_complex(call):
        return call.cast(value, part_dtype(target))
    real = call.unsqueeze(call.cast(value, part_dtype(target)), [-1])
    return paired(call, real, call.emit("Sub", real, real))

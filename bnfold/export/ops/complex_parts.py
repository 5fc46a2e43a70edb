"""Complex numbers put together, taken apart, and measured."""

from __future__ import annotations

from bnfold.export.angles import atan2
from bnfold.export.call import Call
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import complex_size, conjugate, is_complex, paired, parts
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import COMPLEX, FLOATS, lowers


@lowers("Complex", dtypes=FLOATS)
def lower_complex(call: Call) -> str:
    real, imaginary = call.inputs()
    if call.shape(0) != call.shape(1) or call.shape(0) is None or None in call.known_shape(0):
        real = call.emit("Expand", real, call.emit("Shape", imaginary))
        imaginary = call.emit("Expand", imaginary, call.emit("Shape", real))
    return paired(call, call.unsqueeze(real, [-1]), call.unsqueeze(imaginary, [-1]))


@lowers("Real", dtypes=(*FLOATS, *COMPLEX), part=0)
@lowers("Imag", dtypes=(*FLOATS, *COMPLEX), part=1)
def lower_part(call: Call) -> str:
    return call.squeeze(parts(call, call.input(0))[call.fact("part")], [-1])


@lowers("Conj", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS)
def lower_conjugate(call: Call) -> str:
    return conjugate(call, call.input(0)) if is_complex(call) else call.input(0)


@lowers("ComplexAbs", dtypes=COMPLEX)
def lower_complex_abs(call: Call) -> str:
    return call.squeeze(complex_size(call, call.input(0)), [-1])


@lowers("Angle", dtypes=COMPLEX)
def lower_angle(call: Call) -> str:
    real, imaginary = parts(call, call.input(0))
    return call.squeeze(atan2(call, imaginary, real, part_dtype(call.dtype())), [-1])

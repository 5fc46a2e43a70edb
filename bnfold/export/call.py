"""What a lowering sees: one TensorFlow node, what is known of it, and the means to emit ONNX nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bnfold.errors import ExportError
from bnfold.export.kernels import widening
from bnfold.export.onnx_graph import OnnxNode, part_dtype
from bnfold.graph import Array, DType, Function, Node, Shape, TensorType

if TYPE_CHECKING:
    from bnfold.export.scope import Scope

T = TypeVar("T")


class Call:
    """One TensorFlow node on its way to ONNX.

    What it says of shapes, dtypes and constants is in TensorFlow's terms; `input` gives the ONNX value in the
    layout that the whole-graph choice gave this node. `docs/adding_an_op.md` is the guide.

    Attributes
    ----------
    node : Node
    opset : int
    """

    def __init__(self, scope: Scope, node: Node, facts: dict[str, Any]) -> None:
        self.scope = scope
        self.node = node
        self.opset = scope.opset
        self._facts = facts
        self._layout = scope.layouts.of(node)
        self.emitted: list[OnnxNode] = []

    # What is known of the node

    @property
    def op(self) -> str:
        return self.node.op

    def attr(self, name: str, default: Any = None) -> Any:
        """The node's attribute; dtypes are DType, shapes are tuples, strings are str."""
        return self.node.attrs.get(name, default)

    def fact(self, name: str, default: Any = None) -> Any:
        """What the row of the table says under ``name``."""
        return self._facts.get(name, default)

    @property
    def arity(self) -> int:
        """The number of inputs."""
        return len(self.node.inputs)

    def value(self, index: int) -> Array | None:
        """Input ``index`` as an array in TensorFlow's layout if it is a constant, else None."""
        return self.scope.graph.value(self.node.inputs[index])

    def constant_value(self, index: int, what: str) -> Array:
        """As `value`; refuses the node when the input is not a constant, for ``what`` must be known."""
        value = self.value(index)
        if value is None:
            raise self.refusal(f"its {what} is computed at run time, and ONNX needs a constant")
        return value

    def type(self, index: int = 0) -> TensorType:
        return self._type_of(self.node.inputs[index])

    def shape(self, index: int = 0) -> Shape | None:
        """Static shape of input ``index``, None for an unknown rank."""
        return self.type(index).shape

    def known_shape(self, index: int = 0) -> Shape:
        """As `shape`; refuses the node when not even the rank is known."""
        shape = self.shape(index)
        if shape is None:
            raise self.refusal(f"the rank of its input {self.node.inputs[index]} is not known")
        return shape

    def rank(self, index: int = 0) -> int:
        return len(self.known_shape(index))

    def dtype(self, index: int = 0) -> DType:
        return self.type(index).dtype

    def out_shape(self, index: int = 0) -> Shape | None:
        return self._type_of(self.node.tensor(index)).shape

    def out_dtype(self, index: int = 0) -> DType:
        return self._type_of(self.node.tensor(index)).dtype

    def is_read(self, output: int) -> bool:
        """Does anything read this output of the node?"""
        return self.scope.is_read(self.node.tensor(output))

    def _type_of(self, tensor: str) -> TensorType:
        known = self.scope.graph.type_of(tensor)
        if known is None:
            raise self.refusal(f"the type of {tensor} is not known")
        return known

    # Layout

    def axis(self, axis: int, index: int = 0) -> int:
        """Where TensorFlow's ``axis`` (negative counts from the end) of input ``index`` is stored.

        Of an unknown rank, a negative axis still counts from the end: there is no layout.
        """
        if axis < 0 and self.shape(index) is None:
            return axis
        return self._stored_axis(axis, self.rank(index), self._layout.inputs[index])

    def out_axis(self, axis: int) -> int:
        """Where TensorFlow's ``axis`` of the outputs is stored."""
        shape = self.out_shape()
        if shape is None:
            raise self.refusal("the rank of its output is not known")
        return self._stored_axis(axis, len(shape), self._layout.outputs)

    def _stored_axis(self, axis: int, rank: int, permutation: tuple[int, ...] | None) -> int:
        axis = int(axis)
        if not -rank <= axis < max(rank, 1):
            raise self.refusal(f"axis {axis} does not exist in rank {rank}")
        axis %= max(rank, 1)
        return axis if permutation is None else permutation.index(axis)

    def per_axis(self, items: Sequence[T], index: int = 0) -> list[T]:
        """``items``, one for each of TensorFlow's axes of input ``index``, in the order the axes are stored."""
        permutation = self._layout.inputs[index]
        return list(items) if permutation is None else [items[axis] for axis in permutation]

    def per_out_axis(self, items: Sequence[T]) -> list[T]:
        """``items``, one for each of TensorFlow's axes of the outputs, in the order the axes are stored."""
        permutation = self._layout.outputs
        return list(items) if permutation is None else [items[axis] for axis in permutation]

    # Values

    def input(self, index: int = 0) -> str:
        """The ONNX value of input ``index`` in the node's layout; a constant is an initializer."""
        return self.scope.read(self.node.inputs[index], self._layout.inputs[index])

    def inputs(self) -> list[str]:
        return [self.input(index) for index in range(self.arity)]

    def constant(self, array: Array, name: str | None = None) -> str:
        """An initializer with ``array``; equal arrays share one. ``name`` is best the tensor it came from."""
        return self.scope.initializers.add(array, name or f"{self.node.name}/const")

    def ints(self, values: Iterable[int]) -> str:
        """An initializer with int64 ``values`` of rank 1."""
        return self.constant(np.array([int(v) for v in values], np.int64))

    def scalar(self, value: Any, dtype: DType) -> str:
        """An initializer of rank 0."""
        return self.constant(np.array(value, dtype.numpy))

    # Emission

    def emit(self, op: str, *inputs: str, domain: str = "", **attrs: Any) -> str:
        """Add an ONNX node with one output, and return the output's name. Attributes that are None are left out."""
        return self.emit_many(op, *inputs, outputs=1, domain=domain, **attrs)[0]

    def emit_many(self, op: str, *inputs: str, outputs: int, domain: str = "", **attrs: Any) -> tuple[str, ...]:
        """Add an ONNX node with several outputs."""
        stem = f"{self.node.name}/{op}"
        names = [self.scope.names.take(stem if not i else f"{stem}:{i}") for i in range(outputs)]
        node = OnnxNode(op, _trimmed(inputs), names, attrs, names[0], domain)
        self.emitted.append(self.scope.onnx.add(node))
        return tuple(names)

    def cast(self, value: str, dtype: DType) -> str:
        """``value`` as ``dtype``: a Cast, or for an initializer the array cast now."""
        known = self.scope.onnx.types.get(value)
        if known is not None and known.dtype == dtype:
            return value
        array = self.scope.initializers.array(value)
        if array is not None and array.dtype != object and dtype.numpy is not None:
            return value if array.dtype == dtype.numpy else self.constant(array.astype(dtype.numpy), value)
        return self.emit("Cast", value, to=dtype)

    def widened(self, op: str, *inputs: str, dtype: DType | None = None, **attrs: Any) -> str:
        """Emit ``op`` on inputs of ``dtype`` (input 0's by default) where onnxruntime may lack that kernel.

        Where `kernels.KERNELS` has no kernel of ``op`` for the dtype, the inputs are cast to the narrowest wider
        dtype with one, and the result is cast back (it wraps as TensorFlow's integers do). Of complex numbers it
        works on the parts.
        """
        dtype = part_dtype(dtype or self.dtype(0))
        wide = self.wide_dtype(op, dtype)
        if wide == dtype:
            return self.emit(op, *inputs, **attrs)
        result = self.emit(op, *(self.cast(value, wide) if value else "" for value in inputs), **attrs)
        return result if op in _GIVES_BOOL else self.cast(result, dtype)

    def wide_dtype(self, op: str, dtype: DType) -> DType:
        """The dtype in which onnxruntime can do ``op`` for ``dtype``; the node is refused when there is none."""
        wide = widening(op, dtype, self.opset)
        if wide is None:
            raise self.refusal(f"onnxruntime has no {op} for {dtype} or a wider dtype")
        return wide

    def reduce(self, op: str, value: str, axes: Sequence[int] | None, *, keepdims: bool = False) -> str:
        """ReduceSum and kin over stored ``axes`` (None: all), which are an input or an attribute by opset."""
        if axes is not None and not axes:
            return value
        since = 13 if op == "ReduceSum" else 18
        if self.opset >= since:
            return self.emit(op, *([value] if axes is None else [value, self.ints(axes)]), keepdims=keepdims)
        return self.emit(op, value, axes=None if axes is None else list(axes), keepdims=keepdims)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Reshape to ``shape``, in which one size may be -1; 0 means an empty axis, as in TensorFlow."""
        return self.emit("Reshape", value, self.ints(shape), allowzero=1 if 0 in shape and self.opset >= 14 else None)

    def reshape_to(self, value: str, sizes: str) -> str:
        """Reshape to ``sizes``, a value, in which 0 means an empty axis: so it does since opset 14."""
        return self.emit("Reshape", value, sizes, allowzero=1 if self.opset >= 14 else None)

    def squeeze(self, value: str, axes: Sequence[int]) -> str:
        return self.emit("Squeeze", value, self.ints(axes)) if axes else value

    def unsqueeze(self, value: str, axes: Sequence[int]) -> str:
        return self.emit("Unsqueeze", value, self.ints(axes)) if axes else value

    def transpose(self, value: str, permutation: Sequence[int]) -> str:
        if list(permutation) == list(range(len(permutation))):
            return value
        return self.emit("Transpose", value, perm=list(permutation))

    def adopt(self, index: int, *ops: str) -> OnnxNode | None:
        """The ONNX node that made input ``index``, to be changed in place, if its op is one of ``ops``.

        None where something else reads its result, or wants it as an output. Return its output as the result.
        """
        tensor = self.node.inputs[index]
        maker = self.scope.maker(self.input(index))
        if maker is None or maker.op not in ops or self.scope.graph.value(tensor) is not None:
            return None
        if self.node.inputs.count(tensor) > 1 or any(map(self._is_shared, self.scope.tensors_of(maker.outputs[0]))):
            return None
        self.scope.forget(maker.outputs[0])
        self.emitted.append(maker)
        return maker

    def _is_shared(self, tensor: str) -> bool:
        return tensor in self.scope.outputs or len(self.scope.graph.readers(tensor)) > 1

    # Bodies of If, Loop and Scan

    def body(self, name: str) -> Scope:
        """A new scope, to be given to `emit` as an attribute through its ``onnx`` (see `Scope`)."""
        return self.scope.nested(f"{self.node.name}/{name}")

    def function(self, attr: str) -> Function:
        """The function of the graph's library that attribute ``attr`` names."""
        return self.scope.graph.functions[self.attr(attr).name]

    # Refusals

    def refusal(self, reason: str, *, hint: str | None = None) -> ExportError:
        """The error to raise: ``raise call.refusal("its window moves")``."""
        return ExportError(
            f"{self.node.name} is a {self.op} without an ONNX form: {reason}",
            hint=hint or "end the model before it with --output, or lower it yourself with bnfold.register_op",
            node=self.node.name,
        )


_GIVES_BOOL = frozenset({"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf"})


def _trimmed(inputs: Iterable[str]) -> list[str]:
    """``inputs`` without the empty names at the end."""
    names = list(inputs)
    while names and not names[-1]:
        names.pop()
    return names

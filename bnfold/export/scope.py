"""A TensorFlow graph being lowered into an ONNX graph: the model itself, or the body of an If, Loop or Scan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bnfold.errors import ExportError
from bnfold.export.call import Call
from bnfold.export.initializers import Initializers
from bnfold.export.layout import Layouts, choose
from bnfold.export.onnx_graph import Names, OnnxGraph, OnnxNode, stored_type
from bnfold.export.placement import Permutation, inverse, is_identity
from bnfold.export.rewrites import all_rewrites
from bnfold.export.sizes import Sizes
from bnfold.export.table import find_row
from bnfold.graph import Array, Function, Graph, Node, Shape, TensorType, constant, node_name
from bnfold.graph.evaluate import infer_types


class Scope:
    """Where nodes are emitted.

    A body sees the values of the scopes around it: ONNX lets it read them by name.

    Attributes
    ----------
    graph : Graph
        The TensorFlow graph that is being lowered here.
    onnx : OnnxGraph
        What has been emitted.
    names, initializers, opset
        Shared by all the scopes of a model.
    """

    def __init__(
        self,
        name: str,
        graph: Graph,
        layouts: Layouts,
        *,
        opset: int,
        names: Names | None = None,
        initializers: Initializers | None = None,
    ) -> None:
        self.graph = graph
        self.layouts = layouts
        self.opset = opset
        self.onnx = OnnxGraph(name)
        self.names = names or Names()
        self.initializers = initializers or Initializers(self.names.take)
        self.outputs: frozenset[str] = frozenset()
        self.exported: dict[str, str] = {}
        self.dim_names: dict[str, str] = {}  # by the symbol of `sizes`
        self._sizes: Sizes | None = None
        self._values: dict[str, str] = {}
        self._tensors: dict[str, list[str]] = {}  # by value: several where an op hands its input on
        self._makers: dict[str, OnnxNode] = {}
        self._adapted: dict[tuple[str, Permutation | None], str] = {}
        self._transposes: dict[tuple[str, Permutation], str] = {}

    @property
    def sizes(self) -> Sizes:
        """What is known of the sizes of the graph's tensors, looked into when first asked for."""
        if self._sizes is None:
            self._sizes = Sizes(self.graph)
        return self._sizes

    # Lowering

    def lower(self, outputs: Iterable[str]) -> None:
        """Lower every node of the graph that has no value yet, in topological order.

        Raises
        ------
        ExportError
            With all the nodes that are refused.
        """
        self.outputs = frozenset(outputs)
        refused: list[ExportError] = []
        for node in self.graph.topological(self.outputs):
            if node.op == "Const" or node.output in self._values:
                continue
            try:
                self._lower_node(node)
            except ExportError as error:
                refused.append(error)
                self._stand_in(node)
            except Exception:
                if not refused:
                    raise
                break  # a value that stands in for a refused one does not suit every reader
        if refused:
            raise _together(refused)

    def _stand_in(self, node: Node) -> None:
        """Let the outputs of a refused node be values that nothing makes, so that those after it are looked at."""
        for tensor in dict.fromkeys([node.output, *self.graph.outputs_read(node.name)]):
            value = self.names.take(tensor)
            known = self.graph.type_of(tensor)
            if known is not None and known.dtype.onnx is not None:
                self.onnx.types[value] = stored_type(known, self.layouts.stored.get(tensor))
            self.bind_input(tensor, value)

    def _lower_node(self, node: Node) -> None:
        row = find_row(node.op)
        if row is None:
            raise ExportError(f"{node.name} is a {node.op}, which has no ONNX form", node=node.name)
        call = Call(self, node, dict(row.facts))
        results = row.lower(call)
        for index, value in enumerate((results,) if isinstance(results, str) else results):
            self._bind(node.tensor(index), value, call)

    def _bind(self, tensor: str, value: str, call: Call) -> None:
        """Let ``tensor`` be ``value``, which takes the tensor's name if this call made it."""
        maker = next((node for node in call.emitted if value in node.outputs), None)
        if maker is not None and value not in self._tensors:
            name = self._name_for(tensor)
            for node in call.emitted:
                node.rename({value: name})
            if maker.outputs[0] == name:
                self._makers[name] = maker
            if tensor == call.node.output:  # condition and body of a loop are one graph, and may share node names
                maker.name = call.node.name if name in (tensor, f"{tensor}/stored", self.exported.get(tensor)) else name
            value = name
            known = self.graph.type_of(tensor)
            if known is not None and known.dtype.onnx is not None:
                self.onnx.types[name] = stored_type(known, self.layouts.stored.get(tensor))
                self.name_dims(tensor, name, self.layouts.stored.get(tensor))
        self.bind_input(tensor, value)

    def _name_for(self, tensor: str) -> str:
        """The tensor's own name; a name beside it where the model's input or output of that name is stored otherwise,
        or is another tensor (in half precision the output is a Cast of the tensor that had its name).
        """
        permutation = self.layouts.stored.get(tensor)
        if tensor in self.exported:
            return (
                self.names.take(self.exported[tensor]) if permutation is None else self.names.take(f"{tensor}/stored")
            )
        return self.names.take(f"{tensor}/inner" if tensor in self.exported.values() else tensor)

    def name_dims(self, tensor: str, value: str, permutation: Permutation | None) -> None:
        """Note which sizes of ``value``, which is ``tensor`` as stored, are those of the model's inputs."""
        shape = self.graph.shape_of(tensor)
        if not self.dim_names or shape is None or None not in shape or (sizes := self.sizes.shape(tensor)) is None:
            return
        dims = [size.known if size.known is not None else self.dim_names.get(str(size)) for size in sizes]
        stored = dims if permutation is None else [dims[axis] for axis in permutation]
        parts = [2] if self.graph.types[tensor].dtype.name.startswith("complex") else []
        self.onnx.dims[value] = (*stored, *parts)

    # Values

    def bind_input(self, tensor: str, value: str) -> None:
        """Let ``tensor`` be the ONNX value ``value``, which exists already."""
        self._values[tensor] = value
        self._tensors.setdefault(value, []).append(tensor)

    def tensors_of(self, value: str) -> list[str]:
        """The tensors that are ``value``."""
        return self._tensors.get(value, [])

    def is_read(self, tensor: str) -> bool:
        return tensor in self.outputs or bool(self.graph.readers(tensor))

    def read(self, tensor: str, wanted: Permutation | None = None) -> str:
        """The ONNX value of ``tensor``, stored as ``wanted``; made once, however many read it."""
        array = self.graph.value(tensor)
        if array is not None:
            return self.initializers.add(_permuted(array, wanted), tensor)
        if tensor not in self._values:
            raise ExportError(
                f"{tensor} is read, but the lowering of {node_name(tensor)} gives no such output",
                node=node_name(tensor),
            )
        stored = self.layouts.stored.get(tensor)
        if stored == wanted:
            return self._values[tensor]
        key = (tensor, wanted)
        if key not in self._adapted:
            self._adapted[key] = self._adapt(tensor, stored, wanted)
        return self._adapted[key]

    def _adapt(self, tensor: str, stored: Permutation | None, wanted: Permutation | None) -> str:
        shape = self.graph.shape_of(tensor)
        if not shape:
            return self._values[tensor]  # a scalar broadcasts in every layout
        if wanted is None or len(shape) == len(wanted):
            return self._transposed(tensor, stored, wanted, shape)
        value = self.read(tensor)
        missing = self.initializers.add(np.arange(len(wanted) - len(shape), dtype=np.int64), f"{tensor}/axes")
        value = self._emit("Unsqueeze", [value, missing], f"{tensor}/expanded")
        parts = [len(wanted)] if self.graph.types[tensor].dtype.name.startswith("complex") else []
        return self._emit("Transpose", [value], f"{tensor}/transposed", perm=[*wanted, *parts])

    def _transposed(self, tensor: str, stored: Permutation | None, wanted: Permutation | None, shape: Shape) -> str:
        own = tuple(range(len(shape)))
        back = inverse(stored or own)
        permutation = tuple(back[axis] for axis in (wanted or own))
        key = (self._values[tensor], permutation)
        if is_identity(permutation):
            return self._values[tensor]
        if key not in self._transposes:
            name = self.exported.get(tensor, "") if wanted is None else ""
            if not name or name in self.names:
                name = f"{tensor}/transposed"
            if self.graph.types[tensor].dtype.name.startswith("complex"):
                shape, permutation, stored = (*shape, 2), (*permutation, len(shape)), (*(stored or own), len(shape))
            self._transposes[key] = self._emit_transpose(key[0], name, permutation, shape, stored or own)
            self.onnx.types[self._transposes[key]] = stored_type(self.graph.types[tensor], wanted)
            self.name_dims(tensor, self._transposes[key], wanted)
        return self._transposes[key]

    def _emit_transpose(
        self, value: str, name: str, permutation: Permutation, shape: Shape, stored: Permutation
    ) -> str:
        """Where only axes of size 1 move, the elements stay where they are: a Reshape."""
        sizes = [shape[stored[axis]] for axis in permutation]
        wide = [axis for axis in permutation if shape[stored[axis]] != 1]
        if wide == sorted(wide) and sizes.count(None) <= 1 and 0 not in sizes:
            # 0 is the size at the same place: it keeps its name, which that of -1 loses
            entries = [
                s if s is not None else 0 if axis == place else -1
                for place, (s, axis) in enumerate(zip(sizes, permutation, strict=True))
            ]
            return self._emit(
                "Reshape", [value, self.initializers.add(np.array(entries, np.int64), f"{name}/shape")], name
            )
        return self._emit("Transpose", [value], name, perm=list(permutation))

    def _emit(self, op: str, inputs: list[str], stem: str, **attrs: object) -> str:
        name = self.names.take(stem)
        self.onnx.add(OnnxNode(op, inputs, [name], dict(attrs), name))
        return name

    def maker(self, value: str) -> OnnxNode | None:
        """The node of this scope that makes ``value`` as its first output."""
        return self._makers.get(value)

    def forget(self, value: str) -> None:
        """``value`` is about to get another name."""
        self._makers.pop(value)
        self._tensors.pop(value, None)
        self.onnx.types.pop(value, None)

    # Bodies

    def nested(self, name: str) -> Scope:
        """An empty scope for a body of a node that is emitted here."""
        graph = Graph()
        graph.functions = self.graph.functions
        return Scope(name, graph, Layouts(), opset=self.opset, names=self.names, initializers=self.initializers)

    def add_input(self, stem: str, known: TensorType) -> str:
        """Declare an input of this body (of Loop or Scan), and return its name."""
        name = self.names.take(stem)
        self.onnx.inputs.append(name)
        self.onnx.types[name] = stored_type(known, None)
        return name

    def lower_function(
        self,
        function: Function,
        arguments: Sequence[str],
        *,
        values: Mapping[int, Array] | None = None,
        shapes: Mapping[int, Shape | None] | None = None,
    ) -> list[str]:
        """Lower a function's body into this scope and return the values of its results.

        Parameters
        ----------
        function : Function
        arguments : sequence of str
            The ONNX value of each argument: inputs of this body, or values of the scopes around it.
        values : mapping of int to ndarray, optional
            Arguments that are constants, by position.
        shapes : mapping of int to Shape, optional
            Static shapes of arguments, by position, where more is known than the function says.
        """
        graph = specialised(function, self.graph.functions, values or {}, shapes or {})
        self.graph = graph
        self.layouts = choose(graph, function.outputs)
        for tensor, value in zip(function.inputs, arguments, strict=True):
            self.bind_input(tensor, value)
        self.lower(function.outputs)
        return [self.read(tensor) for tensor in function.outputs]

    def add_output(self, value: str, known: TensorType) -> None:
        """Declare an output of this body. A value that is not this body's own goes through an Identity."""
        made = {name for node in self.onnx.nodes for name in node.outputs}
        if value not in made or value in self.onnx.outputs:
            value = self._emit("Identity", [value], f"{self.onnx.name}/result")
        self.onnx.outputs.append(value)
        self.onnx.types[value] = stored_type(known, None)


def _together(refused: Sequence[ExportError]) -> ExportError:
    """One error for several nodes."""
    if len(refused) == 1:
        return refused[0]
    lines = dict.fromkeys(error.message for error in refused)
    text = "nodes without an ONNX form\n  " + "\n  ".join(lines)
    return ExportError(text, hint=refused[0].hint, node=refused[0].node)


def specialised(
    function: Function,
    library: Mapping[str, Function],
    values: Mapping[int, Array],
    shapes: Mapping[int, Shape | None],
) -> Graph:
    """A function's graph with types, given what is known of its arguments, by position: values, shapes.

    Raises
    ------
    ExportError
        When TensorFlow refuses the function for such arguments.
    """
    graph = function.graph.copy()
    graph.functions = dict(library)
    for position, tensor in enumerate(function.inputs):
        argument = graph[node_name(tensor)]
        if position in values:
            graph.replace(constant(argument.name, values[position]))
        elif shapes.get(position) is not None:
            graph.replace(argument.with_attrs(shape=shapes[position]))
    try:
        graph.types = infer_types(graph)
    except ValueError as error:
        hint = "the graph is damaged, or --input gives a shape that a loop or branch of it does not take"
        raise ExportError(f"TensorFlow refuses the function {function.name}: {error}", hint=hint) from None
    for rewrite in all_rewrites():
        rewrite(graph, {*function.inputs, *function.outputs})
    return graph


def _permuted(array: Array, wanted: Permutation | None) -> Array:
    """A constant as stored; one of lower rank gets leading axes of size 1 first, to broadcast as before."""
    if wanted is None or array.ndim == 0:
        return array
    return array.reshape((1,) * (len(wanted) - array.ndim) + array.shape).transpose(wanted)

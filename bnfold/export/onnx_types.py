"""The type of every value of a model: TensorFlow's where there is one, else ONNX' own shape inference."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import GraphProto, ModelProto, NodeProto, TensorShapeProto, ValueInfoProto, shape_inference

from bnfold.errors import ExportError
from bnfold.export.front_axes import count_axes_from_front
from bnfold.export.initializers import Initializers, to_tensor
from bnfold.export.onnx_graph import value_info
from bnfold.graph import Array, DType, TensorType

_SMALL = 1024
"""Bytes up to which an initializer's value goes into shape inference: shapes, axes and the like."""


def complete(model: ModelProto, initializers: Initializers) -> dict[str, Array]:
    """Give ``model`` a ``value_info`` for every value, in place; returned are the initializers that it needs.

    Shape inference runs on a skeleton in which large initializers are inputs, since it copies the model.
    """
    skeleton = ModelProto()
    skeleton.CopyFrom(model)
    for name, array in initializers.among(_wanted(model.graph)):
        if array.nbytes <= _SMALL:
            skeleton.graph.initializer.append(to_tensor(name, array))
        else:
            known = TensorType(DType.of_numpy(array.dtype), array.shape)
            skeleton.graph.input.append(value_info(name, known))
    inferred = _inferred(skeleton)
    if _add_ranks(inferred.graph, skeleton.graph):
        inferred = _inferred(skeleton)
    _copy_types(inferred.graph, model.graph)
    outputs = {info.name: info for info in inferred.graph.output}
    for output in model.graph.output:
        output.CopyFrom(outputs[output.name])
    count_axes_from_front(model.graph, initializers)
    return dict(initializers.among(_wanted(model.graph)))


def _wanted(graph: GraphProto) -> set[str]:
    return {name for node in graph.node for name in _reads(node)} | {output.name for output in graph.output}


def _inferred(skeleton: ModelProto) -> ModelProto:
    """Following what integers hold finds more sizes; of some graphs it says what is not so.

    It takes matrices of integers for vectors, and forgets that a bool or a byte holds other numbers than were put in.
    """
    try:
        return shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True, data_prop=True)
    except shape_inference.InferenceError:
        pass
    try:
        return shape_inference.infer_shapes(skeleton, check_type=True, strict_mode=True)
    except shape_inference.InferenceError as error:
        hint = "--input with other sizes may avoid it; a fault of the exporter all the same"
        raise ExportError(f"the ONNX graph contradicts TensorFlow's shapes: {error}", hint=hint) from error


def _add_ranks(inferred: GraphProto, target: GraphProto) -> bool:
    """Add to ``target`` the ranks that ONNX' shape inference does not see; were there any?

    It says nothing of a convolution whose kernel has sizes that are not known, of what a Loop carries, or of a Reshape
    to sizes that it does not follow.
    """
    known = {info.name: info for info in (*inferred.value_info, *inferred.input, *inferred.output)}
    own = {info.name: info for info in (*target.value_info, *target.output)}
    found = False
    for node, same in zip(inferred.node, target.node, strict=True):
        for name, rank in zip(node.output, _ranks(node, known), strict=False):
            info = known.get(name)
            if rank is None or info is None or _rank(info) is not None:
                continue
            where = own[name] if name in own else target.value_info.add(name=name)
            where.type.tensor_type.elem_type = info.type.tensor_type.elem_type
            where.type.tensor_type.shape.dim.extend([TensorShapeProto.Dimension()] * rank)
            found = True
        bodies = {attribute.name: attribute.g for attribute in same.attribute if attribute.HasField("g")}
        for attribute in node.attribute:
            if attribute.name in bodies:
                found |= _add_ranks(attribute.g, bodies[attribute.name])
    return found


def _ranks(node: NodeProto, known: Mapping[str, ValueInfoProto]) -> list[int | None]:
    """The rank of each output of ``node`` as its inputs and its body tell it."""
    if node.op_type in ("Conv", "ConvTranspose"):
        return [_rank(known.get(node.input[0])) or _rank(known.get(node.input[1]))]
    if node.op_type == "Loop":
        [body] = (attribute.g for attribute in node.attribute if attribute.name == "body")
        return [_rank(info) for info in body.output[1 : len(node.input) - 1]]
    if node.op_type == "Reshape" and _rank(target := known.get(node.input[1])) == 1 and target is not None:
        return [target.type.tensor_type.shape.dim[0].dim_value or None]
    return []


def _rank(info: ValueInfoProto | None) -> int | None:
    known = info is not None and info.type.tensor_type.HasField("shape")
    return len(info.type.tensor_type.shape.dim) if known and info is not None else None


def _copy_types(source: GraphProto, target: GraphProto) -> None:
    """Give the values of ``target`` the types that they have in ``source``; in the order of its nodes, bodies too."""
    infos = {info.name: info for info in source.value_info}
    del target.value_info[:]
    for inferred, node in zip(source.node, target.node, strict=True):
        target.value_info.extend(infos[name] for name in node.output if name in infos)
        bodies = {attribute.name: attribute.g for attribute in inferred.attribute if attribute.HasField("g")}
        for attribute in node.attribute:
            if attribute.name in bodies:
                _copy_types(bodies[attribute.name], attribute.g)


def _reads(node: object) -> list[str]:
    names = list(node.input)  # type: ignore[attr-defined]
    for attribute in node.attribute:  # type: ignore[attr-defined]
        for inner in attribute.g.node:
            names.extend(_reads(inner))
        names.extend(output.name for output in attribute.g.output)
    return names

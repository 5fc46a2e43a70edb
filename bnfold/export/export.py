"""export: an inference graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from onnx import ModelProto, helper

from bnfold.errors import ExportError
from bnfold.export.layout import choose
from bnfold.export.onnx_graph import OnnxNode, stored_type
from bnfold.export.onnx_types import complete
from bnfold.export.rewrites import all_rewrites
from bnfold.export.scope import Scope
from bnfold.export.table import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET, find_row
from bnfold.graph import DType, Graph, Node, TensorType, node_name
from bnfold.graph.stages import Endpoint, InferenceGraph


def export(
    inference: InferenceGraph, *, opset: int = DEFAULT_OPSET, metadata: Mapping[str, str] | None = None
) -> ModelProto:
    """Lower an inference graph to ONNX.

    Parameters
    ----------
    inference : InferenceGraph
        As `infer` or `fold` return it; it is not changed.
    opset : int
        From 13 to the newest that onnxruntime runs.
    metadata : mapping of str to str, optional
        The model's ``metadata_props``.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ExportError
        When ops have no lowering (all of them are named, before any work), or a node's attributes have none.
    ValueError
        When ``opset`` is out of range.
    """
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ValueError(f"opset {opset} is not one of {OLDEST_OPSET} to {NEWEST_OPSET}")
    graph = inference.graph.copy()
    kept = {endpoint.tensor for endpoint in (*inference.inputs, *inference.outputs)}
    for rewrite in all_rewrites():
        rewrite(graph, kept)
    given = {node_name(endpoint.tensor) for endpoint in inference.inputs}
    needed = graph.pruned(endpoint.tensor for endpoint in inference.outputs)
    check_lowerings((node for node in needed if node.name not in given), graph, opset)

    outputs = [endpoint.tensor for endpoint in inference.outputs]
    scope = Scope("bnfold", needed, choose(needed, outputs), opset=opset)
    scope.exported = {endpoint.tensor: endpoint.name for endpoint in (*inference.inputs, *inference.outputs)}
    for endpoint in inference.inputs:
        _declare_input(scope, endpoint)
    scope.lower(endpoint.tensor for endpoint in inference.outputs)
    _declare_outputs(scope, inference.outputs)
    scope.onnx.drop_unread()
    return _model(scope, metadata or {})


def check_lowerings(nodes: Iterable[Node], graph: Graph, opset: int) -> None:
    """Refuse, all at once, the nodes whose op, dtype or opset the table does not know."""
    missing: dict[str, list[str]] = {}
    for node in nodes:
        if (reason := _why_not(node, graph, opset)) is not None:
            missing.setdefault(reason, []).append(node.name)
    if missing:
        lines = [f"{reason}: {_some(names)}" for reason, names in sorted(missing.items())]
        raise ExportError(
            "ops without an ONNX form\n  " + "\n  ".join(lines),
            hint="cut the graph before them with --output, or lower them yourself with bnfold.register_op",
            node=next(iter(missing.values()))[0],
        )


def _why_not(node: Node, graph: Graph, opset: int) -> str | None:
    if node.op == "Const":
        return None
    row = find_row(node.op)
    if row is None:
        return node.op
    if opset < row.opset:
        return f"{node.op} before opset {row.opset}"
    dtype = node.attrs.get("T")
    if not isinstance(dtype, DType):
        known = graph.type_of(node.output)
        dtype = known.dtype if known else None
    if dtype is not None and dtype.name not in row.dtypes:
        return f"{node.op} of {dtype}"
    return None


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _declare_input(scope: Scope, endpoint: Endpoint) -> None:
    name = scope.names.take(endpoint.name)
    scope.onnx.inputs.append(name)
    known = scope.graph.type_of(endpoint.tensor) or TensorType(endpoint.dtype, endpoint.shape)
    if known.dtype.onnx is None:
        raise ExportError(f"input {endpoint.name} is a {known.dtype}, which ONNX has no type for", node=endpoint.name)
    scope.onnx.types[name] = stored_type(known, None)
    if known.shape is not None:
        sizes = enumerate(known.shape)
        scope.onnx.dims[name] = tuple(_dim_name(name, axis) if size is None else size for axis, size in sizes)
    scope.bind_input(endpoint.tensor, name)


def _dim_name(name: str, axis: int) -> str:
    """The first axis is taken for the batch, which inputs share."""
    return "N" if axis == 0 else f"{name.removesuffix(':0')}_dim{axis}"


def _declare_outputs(scope: Scope, endpoints: Iterable[Endpoint]) -> None:
    """Give each output its name: the value's own, or one that the value takes, or else that of an Identity."""
    renamed: dict[str, str] = {}
    for endpoint in {endpoint.name: endpoint for endpoint in endpoints}.values():
        value, name = scope.read(endpoint.tensor), endpoint.name
        if value != name:
            name = scope.names.take(name)
            if scope.maker(value) is None or value in renamed or value in scope.exported.values():
                scope.onnx.add(OnnxNode("Identity", [value], [name], {}, name))
            else:
                renamed[value] = name
        known = scope.graph.type_of(endpoint.tensor) or TensorType(endpoint.dtype, endpoint.shape)
        scope.onnx.outputs.append(name)
        scope.onnx.types[name] = stored_type(known, None)
    scope.onnx.rename(renamed)


def _model(scope: Scope, metadata: Mapping[str, str]) -> ModelProto:
    opsets = [helper.make_opsetid("", scope.opset)]
    model = ModelProto(ir_version=helper.find_min_ir_version_for(opsets), producer_name="bnfold", opset_import=opsets)
    model.graph.CopyFrom(scope.onnx.to_proto())
    complete(model, scope.onnx.types, scope.initializers)
    helper.set_model_props(model, dict(metadata))
    return model

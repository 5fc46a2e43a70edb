"""export: an inference graph as an ONNX model."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from onnx import ModelProto, helper

from bnfold.errors import ExportError
from bnfold.export.bodies import with_bodies
from bnfold.export.half import in_half_precision
from bnfold.export.interface import declare_input, declare_outputs, exported_names, unknown_name
from bnfold.export.layout import Layouts, choose
from bnfold.export.lowered import Lowered
from bnfold.export.onnx_types import complete
from bnfold.export.rewrites import all_rewrites
from bnfold.export.scope import Scope
from bnfold.export.table import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET, find_row
from bnfold.export.tidying import tidy
from bnfold.graph import DType, Graph, Node, node_name, tensor_name
from bnfold.graph.stages import Endpoint, InferenceGraph


def export(
    inference: InferenceGraph,
    *,
    opset: int = DEFAULT_OPSET,
    layout: str | Mapping[str, str] = "tensorflow",
    rename: Mapping[str, str] | None = None,
    half: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """`lower` an inference graph, and put it into one proto.

    Parameters
    ----------
    inference, opset, layout, rename, half
        As for `lower`.
    metadata : mapping of str to str, optional
        The model's ``metadata_props``.

    Returns
    -------
    onnx.ModelProto
        The same bytes for the same arguments.

    Raises
    ------
    ExportError, ValueError
        As for `lower`.
    """
    model = lower(inference, opset=opset, layout=layout, rename=rename, half=half).to_proto()
    helper.set_model_props(model, dict(sorted((metadata or {}).items())))
    return model


def lower(
    inference: InferenceGraph,
    *,
    opset: int = DEFAULT_OPSET,
    layout: str | Mapping[str, str] = "tensorflow",
    rename: Mapping[str, str] | None = None,
    half: bool = False,
) -> Lowered:
    """Lower an inference graph to ONNX.

    Parameters
    ----------
    inference : InferenceGraph
        As `infer` or `fold` return it; it is not changed.
    opset : int
        From 13 to the newest that onnxruntime runs.
    layout : {"tensorflow", "nchw"} or mapping of str to these
        How images come in and go out, for all inputs and outputs or by name. Inside, the layout is the one
        with the fewest transposes either way.
    rename : mapping of str to str, optional
        New names of inputs and outputs, by the old ones.
    half : bool
        Write float16 weights and compute in float16; inputs and outputs stay as they are.

    Returns
    -------
    Lowered
        Its weights are views of the graph's where that can be.

    Raises
    ------
    ExportError
        When ops have no lowering (all of them are named, before any work), or a node's attributes have none;
        when ``layout`` or ``rename`` name what is not there.
    ValueError
        When ``opset`` or ``layout`` is none of those above.
    """
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise ValueError(f"opset {opset} is not one of {OLDEST_OPSET} to {NEWEST_OPSET}")
    if half:
        inference = in_half_precision(inference)
    endpoints = (*inference.inputs, *inference.outputs)
    names = exported_names(endpoints, rename or {})
    images_first = _images_first(endpoints, layout)
    graph = inference.graph.copy()
    for rewrite in all_rewrites():
        rewrite(graph, names.keys())
    outputs = [endpoint.tensor for endpoint in inference.outputs]
    given = {node_name(endpoint.tensor) for endpoint in inference.inputs}
    needed = graph.pruned(outputs)
    check_lowerings((node for node in needed if node.name not in given), graph, opset)

    layouts = choose(needed, outputs, images_first=images_first)
    if not isinstance(layout, str):
        _refuse_no_images(endpoints, images_first, layouts)
    scope = Scope("bnfold", needed, layouts, opset=opset)
    scope.exported = names
    for endpoint in inference.inputs:
        declare_input(scope, endpoint)
    scope.lower(outputs)
    declare_outputs(scope, inference.outputs)
    tidy(scope.onnx, scope.initializers, scope.names, opset)
    return _model(scope)


def _images_first(endpoints: Sequence[Endpoint], layout: str | Mapping[str, str]) -> set[str]:
    """The tensors of the interface that ``layout`` wants channels first."""
    by_name = {endpoint.name: endpoint.tensor for endpoint in endpoints}
    chosen = dict.fromkeys(by_name, layout) if isinstance(layout, str) else dict(layout)
    for name, value in chosen.items():
        if value not in ("tensorflow", "nchw"):
            raise ValueError(f"layout {value!r} is neither 'tensorflow' nor 'nchw'")
        if tensor_name(name) not in by_name:
            raise unknown_name(name, by_name)
    return {by_name[tensor_name(name)] for name, value in chosen.items() if value == "nchw"}


def _refuse_no_images(endpoints: Sequence[Endpoint], images_first: Container[str], layouts: Layouts) -> None:
    """Refuse a layout for what was named and is no image."""
    for endpoint in endpoints:
        changed = layouts.stored.get(endpoint.tensor) or layouts.wanted.get(endpoint.tensor)
        if endpoint.tensor in images_first and changed is None:
            raise ExportError(
                f"{endpoint.name} is no image: no convolution, pool or resize has an order for its axes",
                hint="leave its layout out",
            )


def check_lowerings(nodes: Iterable[Node], graph: Graph, opset: int) -> None:
    """Refuse, all at once, the nodes whose op, dtype or opset the table does not know; also those in functions."""
    missing: dict[str, list[str]] = {}
    for node, owner in with_bodies(nodes, graph):
        if (reason := _why_not(node, owner, opset)) is not None:
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


_VERSIONS = {"ai.onnx.ml": 2}
"""Of the domains beside ONNX' own, the oldest version in which their ops are as they are used."""


def _model(scope: Scope) -> Lowered:
    opsets = [helper.make_opsetid("", scope.opset)]
    opsets += [helper.make_opsetid(domain, _VERSIONS.get(domain, 1)) for domain in sorted(scope.onnx.domains())]
    model = ModelProto(ir_version=helper.find_min_ir_version_for(opsets), producer_name="bnfold", opset_import=opsets)
    model.graph.CopyFrom(scope.onnx.to_proto())
    return Lowered(model, complete(model, scope.initializers))

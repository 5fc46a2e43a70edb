"""A Concat of Concats is one; neighbours in it that are constants, or cuts of one shape, are one too."""

from __future__ import annotations

import numpy as np

from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.tidying.bench import Bench


def join_concats(bench: Bench) -> bool:
    changed = False
    nodes: list[OnnxNode] = []
    for node in bench.graph.nodes:
        if node.op == "Concat" and not node.domain:
            before = list(node.inputs)
            node.inputs = _spliced(bench, node)
            if node.attrs.get("axis") == 0:
                node.inputs = _with_constants_joined(bench, node)
                node.inputs = _with_shapes_joined(bench, node, nodes)
            if len(node.inputs) == 1:
                node.op, node.attrs = "Identity", {}
            changed |= before != node.inputs
        nodes.append(node)
    bench.graph.nodes = nodes
    return changed


def _spliced(bench: Bench, node: OnnxNode) -> list[str]:
    """The inputs, with those of a Concat along the same axis in the place of its result, if that is read here alone."""
    inputs: list[str] = []
    for value in node.inputs:
        inner = bench.maker(value, "Concat")
        same = inner is not None and inner.attrs == node.attrs and bench.reads[value] == 1
        inputs += inner.inputs if inner is not None and same else [value]
    return inputs


def _with_constants_joined(bench: Bench, node: OnnxNode) -> list[str]:
    inputs: list[str] = []
    for value in node.inputs:
        array, before = bench.array(value), bench.array(inputs[-1]) if inputs else None
        small = array is not None and before is not None and array.ndim == 1 and array.dtype.kind in "iu"
        if small and array is not None and before is not None:
            inputs[-1] = bench.constant(np.concatenate([before, array]), f"{node.outputs[0]}/part")
        else:
            inputs.append(value)
    return inputs


def _with_shapes_joined(bench: Bench, node: OnnxNode, nodes: list[OnnxNode]) -> list[str]:
    """``Shape(x)[1:2], Shape(x)[2:3]`` is ``Shape(x)[1:3]``, put before ``node`` among ``nodes``."""
    inputs: list[str] = []
    last: OnnxNode | None = None
    for value in node.inputs:
        cut = bench.maker(value, "Shape")
        if cut is not None and last is not None and _follows(last, cut):
            name = bench.fresh(f"{node.outputs[0]}/sizes")
            attrs = {"start": last.attrs["start"], "end": cut.attrs["end"]}
            last = OnnxNode("Shape", list(cut.inputs), [name], attrs, name)
            nodes.append(last)
            inputs[-1] = name
        else:
            last = cut
            inputs.append(value)
    return inputs


def _follows(first: OnnxNode, second: OnnxNode) -> bool:
    end = first.attrs.get("end")
    return first.inputs == second.inputs and end is not None and end == second.attrs.get("start") and end > 0

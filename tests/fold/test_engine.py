"""The engine as a whole: its cost, what it imports, what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from bnfold.errors import FoldError
from bnfold.fold import fold_batch_norms
from bnfold.graph import Graph, Node, TensorType, constant
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.stages import BatchNorm, Endpoint, Folded, InferenceGraph, Kept

PIXELS = TensorType(FLOAT32, (None, 8, 6, 3))
T = {"T": FLOAT32}
CONV = {
    **T,
    "strides": [1] * 4,
    "padding": "SAME",
    "dilations": [1] * 4,
    "data_format": "NHWC",
    "explicit_paddings": [],
}


def chain_of(count: int, before: str) -> InferenceGraph:
    """``count`` times: a Conv2D or a Tanh, a batch norm as Mul and AddV2, a ReLU. Built without TensorFlow."""
    rng = np.random.default_rng(count)
    graph = Graph()

    def put(node: Node, type_: TensorType = PIXELS) -> str:
        graph.add(node)
        graph.types[node.output] = type_
        return node.output

    def weights(name: str, *shape: int) -> str:
        return put(constant(name, rng.normal(size=shape).astype(np.float32)), TensorType(FLOAT32, shape))

    x = put(Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": PIXELS.shape}))
    norms = []
    for i in range(count):
        if before == "Conv2D":
            x = put(Node(f"conv{i}", "Conv2D", (x, weights(f"kernel{i}", 1, 1, 3, 3)), CONV))
        else:
            x = put(Node(f"tanh{i}", "Tanh", (x,), T))
        x = put(Node(f"mul{i}", "Mul", (x, weights(f"scale{i}", 3)), T))
        x = put(Node(f"add{i}", "AddV2", (x, weights(f"shift{i}", 3)), T))
        zeros, ones = np.zeros(3), np.ones(3)
        nodes = (f"mul{i}", f"add{i}")
        norms.append(BatchNorm(f"bn{i}", "unfused", "inference", "", x, nodes, 3, None, None, zeros, ones, 1e-3))
        x = put(Node(f"relu{i}", "Relu", (x,), T))
    ends = [Endpoint(tensor, tensor, FLOAT32, PIXELS.shape) for tensor in ("x:0", x)]
    return InferenceGraph(graph, (ends[0],), (ends[1],), tuple(norms))


def calls_to_fold(inference: InferenceGraph) -> int:
    """How many Python functions folding calls: a measure of time that does not depend on the machine."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        fold_batch_norms(inference)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("before", ["Conv2D", "Tanh"])
def test_cost_is_linear_in_the_size_of_the_graph(before: str) -> None:
    small, large = (calls_to_fold(chain_of(count, before)) for count in (40, 320))
    assert large < 8.2 * small


def test_fates_are_in_the_order_of_the_batch_norms() -> None:
    folding = fold_batch_norms(chain_of(30, "Conv2D"))
    assert folding.fates == tuple(Folded(f"bn{i}", (f"conv{i}",), "convolution") for i in range(30))
    kept = fold_batch_norms(chain_of(30, "Tanh"))
    assert [(type(fate), fate.name) for fate in kept.fates] == [(Kept, f"bn{i}") for i in range(30)]


def test_folding_twice_changes_nothing_more() -> None:
    once = fold_batch_norms(chain_of(5, "Conv2D"))
    twice = fold_batch_norms(once.inference)
    assert {n.name: n for n in twice.inference.graph} == {n.name: n for n in once.inference.graph}
    assert twice.others == ()


def test_input_that_nothing_reads_stays() -> None:
    inference = chain_of(2, "Conv2D")
    graph = inference.graph.copy()
    unread = Node("unread", "Placeholder", attrs={"dtype": FLOAT32, "shape": (None,)})
    graph.add(unread)
    graph.types["unread:0"] = TensorType(FLOAT32, (None,))
    end = Endpoint("unread:0", "unread:0", FLOAT32, (None,))
    folding = fold_batch_norms(
        InferenceGraph(graph, (*inference.inputs, end), inference.outputs, inference.batch_norms, inference.notes)
    )
    assert folding.inference.graph["unread"] == unread
    assert folding.inference.inputs == (*inference.inputs, end)


def test_folded_graph_is_in_topological_order() -> None:
    seen: set[str] = set()
    for node in fold_batch_norms(chain_of(12, "Conv2D")).inference.graph:
        assert {tensor.partition(":")[0] for tensor in node.inputs} <= seen
        seen.add(node.name)


def test_folding_does_not_import_tensorflow() -> None:
    code = "import bnfold.fold, sys; assert not {'tensorflow', 'onnx', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fold_is_refused_when_no_batch_norm_matches_what_to_keep() -> None:
    inference = chain_of(2, "Conv2D")
    with pytest.raises(FoldError, match="no batch norm's name matches keep='head'") as refusal:
        fold_batch_norms(inference, keep="head")
    assert inference.batch_norms[1].name in str(refusal.value.hint)

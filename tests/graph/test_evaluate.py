"""What TensorFlow is asked: static types and values, large constants never in a proto."""

from __future__ import annotations

import numpy as np
import pytest

from bnfold.errors import InferenceError
from bnfold.graph import Graph, Node, TensorType, constant
from bnfold.graph.dtypes import FLOAT32, INT32, DType
from bnfold.graph.evaluate import LARGE, Session, infer_types, run, with_types
from bnfold.graph.graph_def import to_graph_def


def _conv(kernel, shape=(None, None, None, 3)):
    return Graph(
        [
            Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": shape}),
            constant("kernel", kernel),
            Node("y", "Conv2D", ("x:0", "kernel:0"), {"T": FLOAT32, "strides": [1, 2, 2, 1], "padding": "SAME"}),
            Node("size", "Shape", ("y:0",), {"T": FLOAT32, "out_type": INT32}),
            Node("top", "TopKV2", ("y:0", "one:0"), {"T": FLOAT32}),
            constant("one", np.int32(1)),
        ]
    )


KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)


def test_types_are_tensorflows_when_shapes_are_partly_known():
    types = infer_types(_conv(KERNEL))
    assert types["y:0"] == TensorType(FLOAT32, (None, None, None, 4))
    assert types["size:0"] == TensorType(INT32, (4,))
    assert types["top:0"] == TensorType(FLOAT32, (None, None, None, 1))
    assert types["top:1"].dtype == INT32


def test_types_follow_the_shapes_that_are_assumed():
    graph = _conv(KERNEL)
    types = infer_types(graph, shapes={"x": (2, 9, 8, 3)})
    assert types["y:0"].shape == (2, 5, 4, 4)
    assert graph["x"].attrs["shape"] == (None, None, None, 3)


def test_type_has_no_shape_when_the_rank_is_unknown():
    graph = Graph([Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": None})])
    assert infer_types(graph) == {"x:0": TensorType(FLOAT32, None)}


def test_typed_graph_is_a_copy():
    graph = _conv(KERNEL)
    typed = with_types(graph)
    assert typed.shape_of("kernel:0") == (3, 3, 3, 4)
    assert graph.types == {}


def test_graph_is_refused_with_tensorflows_words_when_shapes_disagree():
    with pytest.raises(ValueError, match="Conv2D"):
        infer_types(_conv(KERNEL, shape=(1, 8, 8, 5)))


def test_values_are_right_when_constants_are_large_and_fed():
    kernel = np.random.default_rng(1).normal(size=(5, 5, 3, 80)).astype(np.float32)
    assert kernel.size > LARGE
    graph = _conv(kernel)
    x = np.random.default_rng(2).normal(size=(1, 5, 5, 3)).astype(np.float32)
    (y,) = run(graph, ["y:0"], {"x:0": x})
    truth = np.einsum("hwc,hwco->o", x[0].astype(np.float64), kernel.astype(np.float64))
    np.testing.assert_allclose(y[0, 1, 1], truth, rtol=1e-5, atol=1e-5)


def test_large_constant_is_not_in_the_proto_when_it_is_fed():
    kernel = np.ones((5, 5, 3, 80), np.float32)
    assert to_graph_def(_conv(kernel), without_values=["kernel"]).ByteSize() < 2000


def test_session_runs_again_and_again_when_it_is_open():
    x = np.ones((1, 4, 4, 3), np.float32)
    with Session(_conv(KERNEL)) as session:
        (once,) = session.run(["y:0"], {"x:0": x})
        twice, size = session.run(["y:0", "size:0"], {"x:0": 2 * x})
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)
    assert size.tolist() == [1, 2, 2, 4]


def test_graph_is_run_as_it_is_written_when_tensorflow_would_simplify_it():
    """(x + 1e8) − 1e8 in float32 is 0 for a small x; an optimiser that cancels the constants would give x."""
    nodes = [
        Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": ()}),
        constant("big", np.float32(1e8)),
        Node("sum", "AddV2", ("x:0", "big:0"), {"T": FLOAT32}),
        Node("y", "Sub", ("sum:0", "big:0"), {"T": FLOAT32}),
    ]
    assert run(Graph(nodes), ["y:0"], {"x:0": np.float32(1.0)})[0] == 0.0


def test_string_tensor_runs_when_it_is_a_constant():
    graph = Graph(
        [
            constant("s", np.array(["a", "bc"])),
            Node("n", "StringLength", ("s:0",), {"unit": "BYTE"}),
        ]
    )
    assert run(graph, ["n:0"])[0].tolist() == [1, 2]
    assert infer_types(graph)["s:0"] == TensorType(DType.named("string"), (2,))


def test_constant_is_refused_in_words_when_tensorflow_cannot_compute_it():
    numbers = [constant("seven", np.int32(7)), constant("zero", np.int32(0))]
    graph = Graph([*numbers, Node("part", "FloorDiv", ("seven:0", "zero:0"), {"T": INT32})])
    with pytest.raises(InferenceError, match=r"cannot compute part: Integer division by zero$") as refused:
        run(graph, ["part:0"])
    assert refused.value.node == "part"
    assert refused.value.hint

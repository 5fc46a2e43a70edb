"""GraphDef ↔ Graph: what TensorFlow writes comes back as it was, attributes, constants and functions."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from bnfold.graph import FunctionRef, Graph, Node, constant
from bnfold.graph.dtypes import FLOAT32, DType
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import from_graph_def, op_definition, to_graph_def

v1 = tf.compat.v1


def _round_trip(graph):
    return from_graph_def(to_graph_def(graph))


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        7,
        -1,
        1 << 40,
        0.5,
        -3.25,
        "SAME",
        "",
        b"\xff\x00raw",
        FLOAT32,
        DType.named("resource"),
        (2, None, 3),
        (),
        None,
        [],
        [1, -2],
        [0.5, 1.5],
        [True, False],
        ["a", "b"],
        [FLOAT32, DType.named("int64")],
        [(1, None), None, ()],
        FunctionRef("body", {"T": FLOAT32, "n": 3}),
        [FunctionRef("one"), FunctionRef("two")],
    ],
    ids=repr,
)
def test_attribute_is_the_same_when_it_is_written_and_read(value):
    found = _round_trip(Graph([Node("n", "SomethingNew", ("x:0", "y:3"), {"a": value}, ("c",))]))["n"]
    assert found == Node("n", "SomethingNew", ("x:0", "y:3"), {"a": value}, ("c",))
    assert type(found.attrs["a"]) is type(value)


NUMPY_TYPES = [dtype for number in (*range(1, 26), 29, 30) if (dtype := DType.of_tf(number)).numpy is not None]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 2)], ids=str)
@pytest.mark.parametrize("dtype", NUMPY_TYPES, ids=repr)
def test_constant_is_the_same_when_it_is_written_and_read(dtype, shape):
    if dtype.name == "string":
        value = np.full(shape, b"\xffbytes\x00", object)
    else:
        value = np.random.default_rng(1).uniform(0, 7, shape).astype(dtype.numpy)
    found = _round_trip(Graph([constant("c", value, dtype)]))["c"]
    assert found.attrs["dtype"] is dtype
    assert found.attrs["value"].dtype == value.dtype
    assert found.attrs["value"].shape == shape
    np.testing.assert_array_equal(found.attrs["value"], value)


@pytest.mark.parametrize("name", ["float32", "float64", "float16", "bfloat16"])
def test_odd_values_are_the_same_when_a_float_constant_holds_them(name):
    dtype = DType.named(name)
    value = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-6, 1 / 3]).astype(dtype.numpy)
    found = _round_trip(Graph([constant("c", value, dtype)]))["c"].attrs["value"]
    assert found.tobytes() == value.tobytes()


def test_constant_is_whole_when_the_proto_stores_one_value_for_all():
    proto = v1.GraphDef()
    node = proto.node.add(name="c", op="Const")
    node.attr["dtype"].type = 1
    tensor = node.attr["value"].tensor
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=2)
    tensor.tensor_shape.dim.add(size=3)
    tensor.float_val.append(-1.5)
    np.testing.assert_array_equal(from_graph_def(proto)["c"].attrs["value"], np.full((2, 3), -1.5, np.float32))


def test_constant_is_a_placeholder_when_its_value_is_left_out():
    graph = Graph([constant("large", np.ones((3, 5), np.float16)), constant("small", np.float32(1))])
    proto = to_graph_def(graph, without_values=["large"])
    found = from_graph_def(proto)
    assert (found["large"].op, found["small"].op) == ("Placeholder", "Const")
    assert (found["large"].attrs["dtype"].name, found["large"].attrs["shape"]) == ("float16", (3, 5))


def test_defaults_are_filled_in_when_the_writer_left_them_out():
    proto = v1.GraphDef()
    proto.node.add(name="norm", op="FusedBatchNormV3", input=["x", "g", "b", "m", "v"]).attr["T"].type = 1
    attrs = from_graph_def(proto)["norm"].attrs
    assert (attrs["is_training"], attrs["data_format"]) == (True, "NHWC")
    assert attrs["epsilon"] == pytest.approx(1e-4)


def test_inputs_are_canonical_and_references_and_private_attributes_go():
    proto = v1.GraphDef()
    proto.versions.producer = 24
    node = proto.node.add(name="n", op="RefIdentity", input=["a", "b:1", "^c", "^d"])
    node.attr["T"].type = 101
    node.attr["_class"].list.s.append(b"loc:@a")
    graph = from_graph_def(proto)
    assert graph["n"] == Node("n", "RefIdentity", ("a:0", "b:1"), {"T": FLOAT32}, ("c", "d"))
    assert graph.producer == 24
    assert to_graph_def(graph).versions.producer == 24


def test_unknown_op_is_kept_when_tensorflow_has_no_definition():
    assert op_definition("SlimPrefetchQueue") is None
    graph = Graph([Node("q", "SlimPrefetchQueue", (), {"capacity": 3})])
    assert _round_trip(graph)["q"] == graph["q"]


def _traced(function, *specs):
    return tf.function(function).get_concrete_function(*specs)


def _flat(graph):
    """Everything that a graph says, functions included, to compare."""
    nodes = [(n.name, n.op, n.inputs, repr(sorted(n.attrs.items())), n.controls) for n in graph]
    bodies = {name: (_flat(f.graph), f.inputs, f.outputs) for name, f in graph.functions.items()}
    return nodes, bodies


def _branching(x):
    parts = tf.split(x, 3)
    top = tf.math.top_k(parts[1], 2)

    def step(i, r):
        values, indices = tf.unique(tf.cast(r, tf.int32))
        return i + 1, r + tf.cast(tf.reduce_sum(values) + tf.size(indices), tf.float32)

    looped = tf.while_loop(lambda i, _: i < 3, step, [tf.constant(0), top.values])[1]
    chosen = tf.switch_case(tf.cast(x[0], tf.int32), [lambda: looped, lambda: -looped, lambda: looped * 2])
    return tf.cond(tf.reduce_sum(x) > 0, lambda: chosen + parts[2][:2], lambda: tf.cast(top.indices, tf.float32))


def test_functions_are_the_same_when_control_flow_is_written_and_read():
    concrete = _traced(_branching, tf.TensorSpec((9,)))
    graph = from_graph_def(concrete.graph.as_graph_def())
    assert len(graph.functions) >= 7
    assert _flat(_round_trip(graph)) == _flat(graph)


@pytest.mark.parametrize("first", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_result_is_tensorflows_when_functions_were_written_and_read(first, sign):
    """Bodies with ops of several outputs: each is named by its argument in a FunctionDef, by its number here."""
    concrete = _traced(_branching, tf.TensorSpec((9,)))
    graph = _round_trip(from_graph_def(concrete.graph.as_graph_def()))
    x = np.float32([first, 5, -2, 4, 8, 1, -3, 6, 2]) * sign
    np.testing.assert_array_equal(run(graph, [concrete.outputs[0].name], {"x:0": x})[0], concrete(tf.constant(x)))


def test_function_is_left_out_when_it_makes_no_sense():
    """An input that no node gives, in a function of a data pipeline; the rest of the graph is as good as ever."""
    proto = to_graph_def(Graph([Node("n", "SomethingNew")]))
    broken = proto.library.function.add()
    broken.signature.name = "broken"
    broken.node_def.add(name="y", op="Neg", input=["absent:y:0"])
    sound = proto.library.function.add()
    sound.signature.name = "sound"
    graph = from_graph_def(proto)
    assert set(graph.functions) == {"sound"}
    assert "n" in graph


def test_argument_keeps_its_type_and_shape_when_a_function_is_read():
    concrete = _traced(lambda x: tf.cond(x[0, 0] > 0, lambda: x * 2, lambda: x), tf.TensorSpec((None, 4), tf.float16))
    graph = from_graph_def(concrete.graph.as_graph_def())
    (branch,) = (node for node in graph if node.op in ("If", "StatelessIf"))
    body = graph.functions[branch.attrs["then_branch"].name]
    argument = body.graph[body.inputs[0].removesuffix(":0")]
    assert (argument.op, argument.attrs["dtype"].name) == ("Placeholder", "float16")
    assert argument.attrs["shape"] in ((None, 4), None)


def test_bfloat16_arithmetic_runs_when_constants_are_bfloat16():
    dtype = DType.named("bfloat16")
    graph = Graph([constant("a", np.array([1.5, -2.0], ml_dtypes.bfloat16)), Node("y", "Neg", ("a:0",), {"T": dtype})])
    (y,) = run(graph, ["y:0"])
    assert y.dtype == ml_dtypes.bfloat16
    assert y.astype(np.float32).tolist() == [-1.5, 2.0]


def test_attribute_is_refused_when_no_proto_holds_its_type():
    with pytest.raises(TypeError, match="no attribute holds a complex"):
        to_graph_def(Graph([Node("n", "Op", (), {"a": 1j})]))
    with pytest.raises(TypeError, match="no list attribute holds a complex"):
        to_graph_def(Graph([Node("n", "Op", (), {"a": [1j]})]))

"""Graph and Node: reading, editing, and the orders that follow from the edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.graph import Graph, Node, TensorType, constant, node_name, output_index, tensor_name
from bnfold.graph.dtypes import FLOAT32, INT32, STRING, DType


def _graph(**inputs):
    """A graph of nodes by name, each with the tensors it reads."""
    return Graph(Node(name, "Op", tuple(tensors)) for name, tensors in inputs.items())


DIAMOND = {"x": [], "left": ["x:0"], "right": ["x:1"], "sum": ["left:0", "right:0"], "square": ["sum:0", "sum:0"]}


@pytest.mark.parametrize(
    ("text", "tensor"),
    [("conv", "conv:0"), ("conv:0", "conv:0"), ("a/b:12", "a/b:12"), ("a:b", "a:b:0"), (":1", ":1:0")],
)
def test_tensor_name_is_canonical_when_the_index_is_left_out(text, tensor):
    assert tensor_name(text) == tensor


def test_tensor_name_is_refused_when_it_is_a_control_input():
    with pytest.raises(ValueError, match="control input"):
        tensor_name("^conv")


def test_parts_of_a_tensors_name_are_its_node_and_index():
    assert (node_name("a/b:3"), output_index("a/b:3"), node_name("a/b")) == ("a/b", 3, "a/b")


def test_node_is_changed_in_a_copy_when_attributes_are_set():
    node = Node("n", "Conv2D", ("x:0",), {"strides": [1]}, ("c",))
    other = node.with_attrs(strides=[2], padding="SAME").with_inputs(["y:0", "z:1"])
    assert (node.attrs, node.inputs) == ({"strides": [1]}, ("x:0",))
    assert other == Node("n", "Conv2D", ("y:0", "z:1"), {"strides": [2], "padding": "SAME"}, ("c",))
    assert (node.output, node.tensor(2)) == ("n:0", "n:2")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float32([1]), FLOAT32),
        (np.int32(3), INT32),
        ("text", STRING),
        (np.array(["a", "b"]), STRING),
        (b"x", STRING),
    ],
    ids=["floats", "scalar", "str", "strs", "bytes"],
)
def test_constant_has_the_values_dtype_when_none_is_given(value, dtype):
    node = constant("c", value)
    assert node.attrs["dtype"] == dtype
    assert node.attrs["value"].tolist() == np.asarray(value).tolist()


def test_constant_shares_the_array_when_it_is_one():
    array = np.ones(3)
    assert constant("c", array).attrs["value"] is array


def test_readers_are_by_tensor_and_once_each():
    graph = _graph(**DIAMOND)
    assert [node.name for node in graph.readers("sum:0")] == ["square"]
    assert [node.name for node in graph.readers("x:0")] == ["left"]
    assert [node.name for node in graph.consumers("x")] == ["left", "right"]
    assert graph.outputs_read("x") == ["x:0", "x:1"]
    assert graph.readers("square:0") == []


def test_value_is_none_when_a_tensor_is_not_constant_or_not_there():
    graph = Graph([constant("c", np.float32([2])), Node("n", "Neg", ("c:0",))])
    assert graph.value("c:0").tolist() == [2]
    assert graph.value("n:0") is None
    assert graph.value("absent:0") is None
    assert graph.find_producer("absent:0") is None
    assert graph.producer_of("n:0").op == "Neg"


def test_shape_is_none_when_the_type_or_the_rank_is_unknown():
    graph = _graph(x=[], y=[])
    graph.types = {"x:0": TensorType(FLOAT32, (None, 3)), "y:0": TensorType(FLOAT32, None)}
    assert [graph.shape_of(t) for t in ("x:0", "y:0", "z:0")] == [(None, 3), None, None]
    assert graph.type_of("y:0").dtype == FLOAT32


def test_fresh_name_is_numbered_when_the_stem_is_taken():
    graph = _graph(a=[], a_1=[])
    assert (graph.fresh_name("a"), graph.fresh_name("b")) == ("a_2", "b")
    graph.functions.update(b=None, b_1=None)
    assert (graph.fresh_function_name("a"), graph.fresh_function_name("b")) == ("a", "b_2")


def test_node_is_refused_when_its_name_is_taken():
    with pytest.raises(ValueError, match="already has a node 'x'"):
        _graph(x=[]).add(Node("x", "Op"))


def test_redirected_readers_read_the_new_tensor_and_others_the_old():
    graph = _graph(**DIAMOND)
    graph.redirect("sum:0", "left:0")
    assert graph["square"].inputs == ("left:0", "left:0")
    assert graph.readers("sum:0") == []
    graph = _graph(x=[], a=["x:0"], b=["x:0", "x:0"], y=[])
    graph.redirect("x:0", "y:0", only=["b"])
    assert (graph["a"].inputs, graph["b"].inputs) == (("x:0",), ("y:0", "y:0"))


def test_copy_is_independent_when_it_is_edited():
    graph = _graph(**DIAMOND)
    graph.types["x:0"] = TensorType(FLOAT32, ())
    copy = graph.copy()
    copy.remove("square")
    copy.redirect("x:0", "right:0")
    copy.types.clear()
    assert "square" in graph
    assert graph["left"].inputs == ("x:0",)
    assert [node.name for node in graph.readers("x:0")] == ["left"]
    assert graph.types


def test_pruned_graph_is_what_the_tensors_need_in_order():
    graph = _graph(late=["early:0"], other=["early:0"], early=[])
    assert [node.name for node in graph.pruned(["late:0"])] == ["early", "late"]


def test_pruned_graph_ends_where_it_is_stopped():
    graph = _graph(**DIAMOND)
    assert [n.name for n in graph.pruned(["sum:0"], stop=["left:0"])] == ["x", "right", "sum"]
    assert [n.name for n in graph.pruned(["sum:0"], stop=["left:0", "x:1"])] == ["right", "sum"]


def test_control_inputs_are_followed_or_dropped_as_asked():
    graph = Graph([Node("init", "NoOp"), Node("x", "Op", controls=("init",)), Node("y", "Op", ("x:0",))])
    assert [(n.name, n.controls) for n in graph.pruned(["y:0"])] == [("x", ()), ("y", ())]
    assert [n.name for n in graph.pruned(["y:0"], controls=True)] == ["init", "x", "y"]
    assert graph.pruned(["y:0"], controls=True)["x"].controls == ("init",)


def test_every_node_of_a_loop_is_ordered_when_it_has_a_back_edge():
    graph = Graph(
        [
            Node("x", "Placeholder"),
            Node("enter", "Enter", ("x:0",)),
            Node("merge", "Merge", ("enter:0", "next:0")),
            Node("cond", "LoopCond", ("merge:0",)),
            Node("switch", "Switch", ("merge:0", "cond:0")),
            Node("body", "Neg", ("switch:1",)),
            Node("next", "NextIteration", ("body:0",)),
            Node("exit", "Exit", ("switch:0",)),
        ]
    )
    order = [node.name for node in graph.pruned(["exit:0"])]
    assert sorted(order) == sorted(node.name for node in graph)
    assert order.index("merge") < order.index("switch") < order.index("exit")
    assert order.index("body") < order.index("next")


def test_long_chain_is_ordered_when_recursion_would_overflow():
    graph = Graph([Node(f"n{i}", "Op", (f"n{i - 1}:0",) if i else ()) for i in range(20_000)][::-1])
    assert [n.name for n in graph.topological(["n19999:0"])][:2] == ["n0", "n1"]
    assert len(graph.ancestors(["n19999:0"])) == 20_000


def test_ancestors_and_descendants_follow_the_data():
    graph = _graph(**DIAMOND)
    assert graph.ancestors(["left:0"]) == {"x", "left"}
    assert graph.descendants(["x:1"]) == {"right", "sum", "square"}
    assert graph.descendants(["left:0"]) == {"sum", "square"}


@st.composite
def edits(draw):
    """A graph of eight nodes, and up to twenty edits of it."""
    names = [f"n{i}" for i in range(8)]
    tensors = st.tuples(st.sampled_from(names), st.integers(0, 1)).map(lambda pair: f"{pair[0]}:{pair[1]}")
    graph = Graph(Node(name, "Op", tuple(draw(st.lists(tensors, max_size=3)))) for name in names)
    kinds = st.one_of(
        st.tuples(st.just("redirect"), tensors, tensors),
        st.tuples(st.just("remove"), st.sampled_from(names)),
        st.tuples(st.just("replace"), st.sampled_from(names), st.lists(tensors, max_size=3)),
        st.tuples(st.just("add"), st.sampled_from(names), st.lists(tensors, max_size=3)),
    )
    return graph, draw(st.lists(kinds, max_size=20))


@given(edits())
@settings(max_examples=150, deadline=None)
def test_indices_are_those_of_the_nodes_after_any_edits(case):
    graph, changes = case
    for kind, *rest in changes:
        if kind == "redirect":
            graph.redirect(*rest)
        elif kind == "remove" and rest[0] in graph:
            graph.remove(rest[0])
        elif kind == "replace" and rest[0] in graph:
            graph.replace(Node(rest[0], "Op", tuple(rest[1])))
        elif kind == "add" and rest[0] not in graph:
            graph.add(Node(rest[0], "Op", tuple(rest[1])))
    for name in (f"n{i}" for i in range(8)):
        for tensor in (f"{name}:0", f"{name}:1"):
            assert {n.name for n in graph.readers(tensor)} == {n.name for n in graph if tensor in n.inputs}
        readers = {n.name for n in graph if any(node_name(t) == name for t in n.inputs)}
        assert {n.name for n in graph.consumers(name)} == readers
        assert set(graph.outputs_read(name)) == {t for n in graph for t in n.inputs if node_name(t) == name}


@pytest.mark.parametrize("number", [*range(1, 26), 29, 30])
def test_dtype_is_found_by_number_name_and_array_when_tensorflow_has_it(number):
    import tensorflow as tf

    dtype, truth = DType.of_tf(number), tf.as_dtype(number)
    assert (dtype.name, dtype.tf) == (truth.name, number)
    assert DType.named(truth.name) is dtype
    assert DType.of_tf(number + 100) is dtype
    assert DType.named(f"{truth.name}_ref") is dtype
    assert dtype.is_floating == (truth.is_floating and not truth.name.startswith("float8"))
    if dtype.numpy is not None:
        assert dtype.numpy == np.dtype(truth.as_numpy_dtype)
        assert DType.of_numpy(dtype.numpy) is dtype


def test_onnx_numbers_are_onnxs_when_a_dtype_has_one():
    import onnx

    for number in (*range(1, 26), 29, 30):
        dtype = DType.of_tf(number)
        if dtype.onnx is not None:
            name = onnx.TensorProto.DataType.Name(dtype.onnx).lower().replace("float8e5m2", "float8_e5m2")
            wanted = {"float": "float32", "double": "float64", "float8e4m3fn": "float8_e4m3fn"}.get(name, name)
            assert wanted == dtype.name
            assert DType.of_onnx(dtype.onnx) is dtype

"""Calls inlined: structure, names and refusals; what the graph computes is tested where such graphs are loaded."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.graph import DType, Function, FunctionRef, Graph, Node, constant
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import from_graph_def, to_graph_def
from bnfold.load.functions import behind_copies, inline_calls

F32 = DType.named("float32")


def _placeholder(name):
    return Node(name, "Placeholder", attrs={"dtype": F32, "shape": (3,)})


def _binary(name, op, a, b, controls=()):
    return Node(name, op, (a, b), {"T": F32}, controls)


def _function(name, nodes, inputs, outputs):
    return Function(name, Graph([*map(_placeholder, inputs), *nodes]), tuple(f"{i}:0" for i in inputs), tuple(outputs))


def _call(name, function, inputs, results=1, op="PartitionedCall", controls=()):
    attrs = {"f": FunctionRef(function), "Tin": [F32] * len(inputs), "Tout": [F32] * results}
    return Node(name, op, tuple(inputs), attrs, controls)


def _graph(nodes, *functions):
    graph = Graph(nodes)
    graph.functions = {function.name: function for function in functions}
    return graph


DOUBLE = _function("double", [_binary("twice/sum", "AddV2", "a:0", "a:0")], ["a"], ["twice/sum:0"])
SWAP = _function("swap", [], ["a", "b"], ["b:0", "a:0"])


def test_call_is_replaced_by_the_functions_nodes_when_it_is_inlined():
    graph = _graph([_placeholder("x"), _call("call", "double", ["x:0"]), _binary("y", "Mul", "call:0", "x:0")], DOUBLE)
    flat = inline_calls(graph)
    assert [(node.name, node.op, node.inputs) for node in flat.graph] == [
        ("x", "Placeholder", ()),
        ("twice/sum", "AddV2", ("x:0", "x:0")),
        ("y", "Mul", ("twice/sum:0", "x:0")),
    ]
    assert flat.tensor("call:0") == "twice/sum:0"
    assert flat.graph.functions == {}
    assert graph["y"].inputs == ("call:0", "x:0")


def test_nodes_take_the_calls_name_when_theirs_is_taken():
    nodes = [_placeholder("x"), _call("first", "double", ["x:0"]), _call("second", "double", ["first:0"])]
    flat = inline_calls(_graph(nodes, DOUBLE)).graph
    assert [node.name for node in flat] == ["x", "twice/sum", "second/twice/sum"]
    assert flat["second/twice/sum"].inputs == ("twice/sum:0", "twice/sum:0")


def test_names_are_unique_when_an_inner_call_has_the_outer_ones_name():
    """TensorFlow calls every call StatefulPartitionedCall, at each depth."""
    inner = _function("inner", [_binary("Identity", "AddV2", "a:0", "a:0")], ["a"], ["Identity:0"])
    middle = _function(
        "middle",
        [_call("Call", "inner", ["a:0"]), _binary("Identity", "Mul", "Call:0", "a:0")],
        ["a"],
        ["Identity:0"],
    )
    nodes = [_placeholder("x"), _call("Call", "middle", ["x:0"]), _binary("Identity", "Sub", "Call:0", "x:0")]
    flat = inline_calls(_graph(nodes, inner, middle)).graph
    x = np.float32([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(run(flat, ["Identity:0"], {"x:0": x})[0], 2 * x * x - x)
    assert not [node for node in flat if node.op == "PartitionedCall"]


def test_arguments_are_followed_when_a_function_only_passes_them_on():
    nodes = [
        _placeholder("x"),
        _placeholder("z"),
        _call("one", "swap", ["x:0", "z:0"], 2),
        _call("two", "swap", ["one:0", "one:1"], 2),
        _binary("y", "Sub", "two:0", "two:1"),
    ]
    flat = inline_calls(_graph(nodes, SWAP))
    assert flat.graph["y"].inputs == ("x:0", "z:0")
    assert flat.tensor("one:0") == "z:0"


def test_legacy_call_is_inlined_when_its_op_is_the_functions_name():
    nodes = [_placeholder("x"), Node("call", "double", ("x:0",)), _binary("y", "Mul", "call:0", "x:0")]
    flat = inline_calls(_graph(nodes, DOUBLE)).graph
    assert flat["y"].inputs == ("twice/sum:0", "x:0")


def test_legacy_call_in_a_function_is_read_by_its_results_name_when_it_is_decoded():
    two = _function("two", [_binary("s", "AddV2", "a:0", "a:0")], ["a"], ["a:0", "s:0"])
    graph = _graph([_placeholder("x"), _call("c", "outer", ["x:0"])], two)
    proto = to_graph_def(graph)
    outer = proto.library.function.add()
    outer.signature.name = "outer"
    outer.signature.input_arg.add(name="p", type=1)
    outer.signature.output_arg.add(name="r", type=1)
    outer.node_def.add(name="call", op="two", input=["p"])
    outer.ret["r"] = "call:output_1:0"
    flat = inline_calls(from_graph_def(proto))
    assert flat.tensor("c:0") == "s:0"


def test_controls_are_kept_when_a_call_waits_and_is_waited_for():
    update = _function("update", [Node("noop", "NoOp"), _binary("s", "AddV2", "a:0", "a:0")], ["a"], ["s:0"])
    nodes = [
        _placeholder("x"),
        Node("before", "NoOp"),
        _call("call", "update", ["x:0"], controls=("before",)),
        Node("after", "NoOp", controls=("call",)),
    ]
    flat = inline_calls(_graph(nodes, update)).graph
    assert set(flat["after"].controls) == {"noop", "s"}
    assert flat["noop"].controls == ("before",)


def test_calls_are_inlined_in_bodies_when_control_flow_keeps_them():
    then = _function("then", [_call("call", "double", ["a:0"])], ["a"], ["call:0"])
    other = _function("other", [], ["a"], ["a:0"])
    branch = Node(
        "branch",
        "StatelessIf",
        ("flag:0", "x:0"),
        {
            "then_branch": FunctionRef("then"),
            "else_branch": FunctionRef("other"),
            "Tcond": DType.named("bool"),
            "Tin": [F32],
            "Tout": [F32],
        },
    )
    graph = _graph([constant("flag", np.array(True)), _placeholder("x"), branch], then, other, DOUBLE)
    flat = inline_calls(graph).graph
    assert set(flat.functions) == {"then", "other"}
    assert [node.op for node in flat.functions["then"].graph] == ["Placeholder", "AddV2"]
    x = np.float32([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(run(flat, ["branch:0"], {"x:0": x})[0], 2 * x)


def test_graph_is_refused_when_a_call_names_no_function():
    graph = _graph([_placeholder("x"), _call("call", "absent", ["x:0"])], DOUBLE)
    with pytest.raises(LoadError, match="call calls 'absent', a function that the file lacks or garbles"):
        inline_calls(graph)


def test_graph_is_refused_when_a_function_calls_itself():
    loop = _function("loop", [_call("again", "loop", ["a:0"])], ["a"], ["again:0"])
    with pytest.raises(LoadError, match="the function loop calls itself"):
        inline_calls(_graph([_placeholder("x"), _call("call", "loop", ["x:0"])], loop))


def test_graph_is_refused_when_the_number_of_arguments_is_wrong():
    graph = _graph([_placeholder("x"), _call("call", "double", ["x:0", "x:0"])], DOUBLE)
    with pytest.raises(LoadError, match="gives 2 arguments to double, which takes 1"):
        inline_calls(graph)


def test_graph_is_refused_when_nested_calls_would_fill_the_memory(monkeypatch):
    """Thirty functions that each call the one before twice would be a billion nodes."""
    monkeypatch.setattr("bnfold.load.functions._MOST_NODES", 5_000)
    functions = [DOUBLE]
    for level in range(30):
        inner = functions[-1].name
        nodes = [_call("p", inner, ["a:0"]), _call("q", inner, ["p:0"])]
        functions.append(_function(f"level_{level}", nodes, ["a"], ["q:0"]))
    with pytest.raises(LoadError, match="more than"):
        inline_calls(_graph([_placeholder("x"), _call("call", "level_29", ["x:0"])], *functions))


def test_copies_are_looked_behind_when_a_function_ends_in_identities():
    nodes = [_placeholder("x"), _binary("layer/sum", "AddV2", "x:0", "x:0")]
    nodes += [Node("Identity", "Identity", ("layer/sum:0",)), Node("Identity_1", "Identity", ("Identity:0",))]
    nodes += [Node("copy", "Identity", ("x:0",))]
    graph = Graph(nodes)
    assert behind_copies(graph, "Identity_1:0") == "layer/sum:0"
    assert behind_copies(graph, "copy:0") == "copy:0"


def test_results_are_tensorflows_when_a_traced_function_is_inlined():
    scale = tf.constant([2.0, -3.0, 0.5])

    @tf.function
    def inner(x, y):
        return x * scale + y, x - y

    @tf.function(jit_compile=True)
    def compiled(x):
        return tf.nn.relu(x) - 1.0

    @tf.function
    def outer(x):
        p, q = inner(x, x + 1.0)
        r, _ = inner(compiled(q), p)
        return tf.split(r, 3)[1] * q

    concrete = outer.get_concrete_function(tf.TensorSpec((3,)))
    graph = from_graph_def(concrete.graph.as_graph_def())
    flat = inline_calls(graph)
    x = np.float32([1.5, -2.0, 3.0])
    (capture,) = [inside.name for _, inside in concrete.graph.captures]
    (y,) = run(flat.graph, [flat.tensor(concrete.outputs[0].name)], {"x:0": x, capture: scale.numpy()})
    np.testing.assert_array_equal(y, outer(x).numpy())
    assert not [node.op for node in flat.graph if "Call" in node.op]

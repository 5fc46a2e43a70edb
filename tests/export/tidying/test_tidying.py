"""Tidying: fewer nodes, the same numbers. Each graph is run by onnxruntime before and after."""

from __future__ import annotations

import numpy as np
import pytest
from built import Built

from bnfold.export.onnx_graph import OnnxGraph, OnnxNode
from bnfold.export.tidying import tidy
from bnfold.graph import TensorType
from bnfold.graph.dtypes import FLOAT32, INT32, INT64


@pytest.fixture
def g() -> Built:
    return Built()


# Twins


def test_equal_nodes_are_one_when_they_read_the_same(g):
    a, b = g("Relu", "x"), g("Relu", "x")
    g.ends(g("Add", g("Neg", a), g("Neg", b)), dtype=FLOAT32)
    assert g.tidied() == ["Relu", "Neg", "Add"]


def test_nodes_are_two_when_an_attribute_differs(g):
    g.ends(g("Add", g("LeakyRelu", "x", alpha=0.1), g("LeakyRelu", "x", alpha=0.2)), dtype=FLOAT32)
    assert g.tidied().count("LeakyRelu") == 2


def test_output_keeps_its_name_when_its_twin_came_first(g):
    inner = g("Relu", "x")
    outer = g("Relu", "x", name="y")
    g.ends(g("Neg", inner), outer, dtype=FLOAT32)
    assert g.tidied() == ["Relu", "Neg"]


def test_outputs_are_two_when_they_are_equal(g):
    g.ends(g("Relu", "x"), g("Relu", "x"), dtype=FLOAT32)
    assert g.tidied() == ["Relu", "Relu"]


def test_random_numbers_are_drawn_twice_when_asked_twice(g):
    a, b = (g("RandomNormal", shape=[40]) for _ in range(2))
    g.ends(g("Sub", a, b), dtype=FLOAT32)
    tidy(g.graph, g.initializers, g.names, 18)
    assert np.abs(g.run(18)[0]).max() > 0


def test_identity_stays_only_where_it_gives_an_output(g):
    first = g("Identity", g("Identity", "x"))
    g.ends(g("Neg", first), g("Identity", first), dtype=FLOAT32)
    assert g.tidied() == ["Neg", "Identity"]


# Concats


def test_concat_of_concats_is_one(g):
    inner = g("Concat", "x", g("Neg", "x"), axis=1)
    g.ends(g("Concat", g("Relu", "x"), inner, axis=1), dtype=FLOAT32)
    assert g.tidied() == ["Neg", "Relu", "Concat"]


@pytest.mark.parametrize("case", ["axis", "readers"])
def test_concat_stays_when_it_cannot_go(g, case):
    inner = g("Concat", "x", g("Neg", "x"), axis=1)
    g.ends(g("Concat", g("Concat", inner, axis=1), inner, axis=2 if case == "axis" else 1), dtype=FLOAT32)
    assert g.tidied().count("Concat") == 2


# Sizes


def _size(g: Built, axis: int) -> str:
    """The size of ``axis`` as TensorFlow computes it: int32, and a scalar."""
    return g("Gather", g("Cast", g("Shape", "x"), to=INT32), np.array(axis), axis=0)


def test_sizes_are_cut_from_the_shape_in_int64_when_they_end_there(g):
    parts = [g("Unsqueeze", _size(g, axis), [0]) for axis in (0, 2, 3)]
    parts.insert(1, np.array([3], np.int32))
    g.ends(g("Reshape", "x", g("Cast", g("Concat", *parts, axis=0), to=INT64)), dtype=FLOAT32)
    assert g.tidied() == ["Shape", "Shape", "Concat", "Reshape"]


def test_sizes_are_gathered_when_the_opset_knows_no_cuts(g):
    parts = [g("Unsqueeze", _size(g, axis), [0]) for axis in (3, 2)]
    g.ends(g("Cast", g("Concat", *parts, axis=0), to=INT64))
    assert g.tidied(13) == ["Shape", "Gather", "Gather", "Concat"]


def test_arithmetic_is_in_int64_when_it_starts_and_ends_there(g):
    doubled = g("Mul", _size(g, 2), np.array(2, np.int32))
    g.ends(g("Cast", g("Add", doubled, _size(g, 3)), to=INT64))
    assert g.tidied() == ["Shape", "Gather", "Mul", "Gather", "Add"]


def test_arithmetic_stays_in_int32_when_an_output_wants_that(g):
    doubled = g("Mul", _size(g, 2), np.array(2, np.int32), name="y")
    g.ends(doubled, dtype=INT32)
    assert g.tidied() == ["Shape", "Cast", "Gather", "Mul"]


def test_numbers_wrap_as_before_when_they_are_no_sizes(g):
    large = g("Mul", g("Cast", "x", to=INT64), np.array(2**33 + 1, np.int64))
    g.ends(g("Cast", g("Mul", g("Cast", large, to=INT32), np.array(3, np.int32)), to=INT64))
    assert g.tidied().count("Cast") == 3


@pytest.mark.parametrize("bounds", [(1, 3), (0, 2**31 - 1), (-2, 4), (1, -1)])
def test_slice_of_a_shape_is_a_cut_of_it(g, bounds):
    g.ends(g("Slice", g("Shape", "x"), [bounds[0]], [bounds[1]], [0]))
    assert g.tidied() == ["Shape"]


def test_gathers_are_one_when_they_follow_one_another(g):
    turned = g("Gather", g("Shape", "x"), [0, 3, 1, 2], axis=0)
    g.ends(g("Slice", turned, [1], [4], [0], [2]), g("Squeeze", g("Gather", turned, [2], axis=0), [0]))
    assert g.tidied() == ["Shape", "Gather", "Gather"]


def test_bodies_are_tidied_too(g):
    body = OnnxGraph("then")
    body.add(OnnxNode("Relu", ["x"], ["a"]))
    body.add(OnnxNode("Relu", ["x"], ["b"]))
    body.add(OnnxNode("Add", ["a", "b"], ["sum"]))
    other = OnnxGraph("else")
    other.add(OnnxNode("Neg", ["x"], ["d"]))
    for each, value in ((body, "sum"), (other, "d")):
        each.outputs.append(value)
        each.types[value] = TensorType(FLOAT32, None)
    condition = g("Less", g("ReduceMax", "x", keepdims=0), np.array(99, np.float32))
    g.ends(g("If", condition, then_branch=body, else_branch=other), dtype=FLOAT32)
    g.tidied()
    assert [node.op for node in body.nodes] == ["Relu", "Add"]

"""What nodes make of constants alone."""

from __future__ import annotations

import numpy as np
import pytest
from built import Built

from bnfold.export.tidying import tidy
from bnfold.graph.dtypes import BOOL, FLOAT32, INT32, INT64

FLOATS = np.array([[1.25, -2.5, 0.0], [-0.0, 7.75, 3.5]], np.float32)
WHOLE = np.array([[7, -7, 5], [0, -9, 2]], np.int64)
DIVISORS = np.array([2, 2, -3], np.int64)
LARGEST = 2**63 - 1

CASES = {
    "arithmetic": lambda g: g("Sub", g("Mul", g("Add", FLOATS, FLOATS[0]), FLOATS), g("Neg", FLOATS)),
    "quotient": lambda g: g("Div", FLOATS, np.float32([3, 7, 0.3])),
    "quotient of integers": lambda g: g("Div", WHOLE, DIVISORS),
    "rounded": lambda g: g("Add", g("Floor", FLOATS), g("Ceil", FLOATS)),
    "extremes": lambda g: g("Max", g("Min", FLOATS, FLOATS[1], np.float32(2)), np.float32(-1)),
    "comparisons": lambda g: g(
        "Where",
        g("And", g("Or", g("Greater", WHOLE, DIVISORS), g("Equal", WHOLE, DIVISORS)), g("Not", g("Less", WHOLE, 3))),
        WHOLE,
        DIVISORS,
    ),
    "to integers": lambda g: g("Cast", FLOATS, to=INT32),
    "to the ends of int8": lambda g: g("Cast", np.array([-128, 127], np.int32), to=INT64),
    "to bool": lambda g: g("Cast", FLOATS, to=BOOL),
    "views": lambda g: g(
        "Transpose", g("Squeeze", g("Unsqueeze", g("Reshape", WHOLE, [0, -1]), [0, 3]), [3]), perm=[2, 0, 1]
    ),
    "transposed without an order": lambda g: g("Transpose", WHOLE),
    "cut": lambda g: g("Slice", WHOLE, [-1, LARGEST], [LARGEST, -LARGEST], [0, 1], [1, -2]),
    "cut without axes": lambda g: g("Slice", WHOLE, [0, 1], [1, LARGEST]),
    "picked": lambda g: g("Gather", WHOLE, np.array([[2, -1], [0, 1]]), axis=1),
    "picked without an axis": lambda g: g("Gather", WHOLE, [1]),
    "counted": lambda g: g("Range", np.int64(9), np.int64(-4), np.int64(-3)),
    "repeated": lambda g: g("Expand", DIVISORS, [2, 1, 3]),
    "joined": lambda g: g("Concat", WHOLE, WHOLE[:, :1], axis=1),
}


@pytest.mark.parametrize("name", CASES)
def test_node_of_constants_is_a_constant(name):
    graph = Built()
    result = graph("Reshape", graph("Cast", CASES[name](graph), to=FLOAT32), [-1])
    graph.ends(graph("Concat", result, graph("Reshape", "x", [-1]), axis=0), dtype=FLOAT32)
    assert graph.tidied() == ["Reshape", "Concat"]


REFUSED = {
    "number out of range": lambda g: g("Cast", np.float32([3e9, 0, 0]), to=INT32),
    "not a number": lambda g: g("Max", np.float32([np.nan, 1, 0]), np.float32(0)),
    "other dtype": lambda g: g("Add", FLOATS.astype(np.float16), np.float16(0.1)),
    "too much": lambda g: g("Expand", np.float32([1]), [1 << 17]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_node_of_constants_stays_when_the_runtime_may_differ(name):
    graph = Built()
    made = REFUSED[name](graph)
    op = graph.graph.nodes[-1].op
    result = graph("Reshape", graph("Cast", made, to=FLOAT32), [-1])
    graph.ends(graph("Concat", result, graph("Reshape", "x", [-1]), axis=0), dtype=FLOAT32)
    assert graph.tidied()[0] == op


FAILS = {
    "sizes of something else": lambda g: g("Reshape", FLOATS, [4, -1]),
    "any size of nothing": lambda g: g("Reshape", FLOATS[:0], [0, -1]),
    "shapes that do not broadcast": lambda g: g("Mul", FLOATS, np.float32([1, 2])),
    "axis that there is not": lambda g: g("Gather", WHOLE, [0], axis=2),
}


@pytest.mark.parametrize("name", FAILS)
def test_node_of_constants_stays_when_it_fails(name):
    """It may stand in a branch that is never taken."""
    graph = Built()
    graph.ends(graph("Neg", FAILS[name](graph)))
    ops = [node.op for node in graph.graph.nodes]
    tidy(graph.graph, graph.initializers, graph.names, 18)
    assert [node.op for node in graph.graph.nodes] == ops


def test_output_of_the_graph_stays_a_node():
    graph = Built()
    graph.ends(graph("Add", WHOLE, DIVISORS))
    assert graph.tidied() == ["Add"]

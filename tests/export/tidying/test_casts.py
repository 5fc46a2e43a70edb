"""Casts that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from built import Built

from bnfold.graph.dtypes import BOOL, FLOAT32, INT32, INT64

VAIN = {
    "of the input": lambda g: g("Neg", g("Cast", "x", to=FLOAT32)),
    "of a sum": lambda g: g("Neg", g("Cast", g("Add", "x", np.float32(1)), to=FLOAT32)),
    "of a choice": lambda g: g("Neg", g("Cast", g("Where", g("Greater", "x", np.float32(0)), "x", "x"), to=FLOAT32)),
    "twice": lambda g: g("Neg", g("Cast", g("Cast", g("Relu", "x"), to=FLOAT32), to=FLOAT32)),
}


@pytest.mark.parametrize("name", VAIN)
def test_cast_goes_when_the_value_has_the_dtype(name):
    graph = Built()
    graph.ends(VAIN[name](graph), dtype=FLOAT32)
    assert "Cast" not in graph.tidied()


def test_cast_of_a_comparison_or_an_index_goes():
    graph = Built()
    above = graph("Cast", graph("Greater", "x", np.float32(0)), to=BOOL)
    place = graph("Cast", graph("ArgMax", "x", axis=1), to=INT64)
    graph.ends(graph("Not", above), dtype=BOOL)
    graph.ends(graph("Neg", place))
    assert graph.tidied() == ["Greater", "ArgMax", "Not", "Neg"]


def test_cast_of_the_places_of_a_pool_goes():
    graph = Built()
    largest = graph("MaxPool", "x", kernel_shape=[2, 2])
    places = graph.names.take("places")
    graph.graph.nodes[-1].outputs.append(places)
    graph.ends(graph("Neg", graph("Cast", places, to=INT64)))
    graph.ends(largest, dtype=FLOAT32)
    assert graph.tidied() == ["MaxPool", "Neg"]


@pytest.mark.parametrize("dtype", [INT32, INT64])
def test_cast_stays_when_the_dtype_is_another(dtype):
    graph = Built()
    graph.ends(graph("Abs", graph("Cast", "x", to=dtype)), dtype=dtype)
    assert graph.tidied() == ["Cast", "Abs"]


def test_casts_there_and_back_stay_when_they_cut():
    graph = Built()
    graph.ends(graph("Abs", graph("Cast", graph("Cast", "x", to=INT32), to=FLOAT32)), dtype=FLOAT32)
    assert graph.tidied() == ["Cast", "Cast", "Abs"]

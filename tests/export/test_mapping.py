"""Large weights are read from their file once it is written."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from bnfold.export import Lowered, map_constants, mapped, write
from bnfold.graph import Graph, constant

RNG = np.random.default_rng(5)
KERNEL = RNG.normal(size=(3, 3, 128, 256)).astype(np.float32)
VECTOR = RNG.normal(size=(256,)).astype(np.float32)


@pytest.fixture(params=[10**9, 1000], ids=["in the model file", "beside it"])
def written(request, tmp_path):
    weights = {"kernel": KERNEL.transpose(3, 2, 0, 1), "wide": KERNEL.reshape(9, 1, -1), "vector": VECTOR}
    lowered = Lowered(ModelProto(ir_version=8), weights)
    return lowered, mapped(lowered, write(lowered, tmp_path / "m.onnx", limit=request.param))


def test_weights_are_the_same_when_mapped(written):
    before, after = written
    for name, array in before.weights.items():
        np.testing.assert_array_equal(after.weights[name], array)
        assert not np.shares_memory(after.weights[name], array) or name == "vector"
    assert list(after.weights) == list(before.weights)
    assert after.weights["vector"] is VECTOR  # too small to be worth it


def test_constants_are_the_same_when_they_are_read_from_the_file(written):
    before, after = written
    graph = Graph([constant("kernel", KERNEL), constant("vector", VECTOR)])
    map_constants(graph, before.weights, after.weights, kept=Graph())
    seen = graph["kernel"].attrs["value"]
    np.testing.assert_array_equal(seen, KERNEL)
    assert not np.shares_memory(seen, KERNEL)
    assert graph["vector"].attrs["value"] is VECTOR


def test_constants_stay_in_memory_when_the_reference_has_them_too(written):
    before, after = written
    graph = Graph([constant("kernel", KERNEL)])
    for kept in (graph, Graph([constant("other", KERNEL[..., 0])])):
        map_constants(graph, before.weights, after.weights, kept=kept)
        assert graph["kernel"].attrs["value"] is KERNEL

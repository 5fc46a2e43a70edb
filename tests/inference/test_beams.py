"""The last step of a beam search, which no TensorFlow of today has as an op."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

import bnfold
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

IDS = np.array(
    [[[1, 2, 3], [1, 5, 2]], [[4, 2, 1], [5, 5, 9]], [[7, 1, 9], [9, 1, 6]], [[2, 2, 2], [3, 3, 3]]], np.int32
)
PARENTS = np.array(
    [[[0, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 2, 0]], [[2, 1, 2], [0, 2, 2]], [[0, 1, 2], [2, 0, 1]]], np.int32
)
FOUND = [
    ([4, 3], 9, "222511 121599 719999 229999"),
    ([2, 9], 2, "122151 422959 222691 222333"),
    ([4, 0], 9, "222999 121999 719999 229999"),
    ([1, 4], 1, "123151 111151 111191 111131"),
]
"""Lengths, end token, and what TensorFlow 1.15's kernel gives: a number for each time, its digits batch by batch."""


@pytest.fixture(params=["GatherTree", "Addons>GatherTree"])
def path(request, tmp_path):
    """A graph as it was written when the op was known."""
    shapes = {"ids": (None, None, None), "parents": (None, None, None), "lengths": (None,), "end": ()}
    with tf.Graph().as_default() as graph:
        for name, shape in shapes.items():
            tf.compat.v1.placeholder(tf.int32, shape, name=name)
    graph_def = graph.as_graph_def()
    tree = graph_def.node.add(name="beams/tree", op=request.param, input=list(shapes))
    tree.attr["T"].type = tf.int32.as_datatype_enum
    path = tmp_path / "beams.pb"
    path.write_bytes(graph_def.SerializeToString())
    return path


def test_beams_are_followed_back_as_tensorflow_1_does(path):
    model = bnfold.convert(path, outputs=["beams/tree"], check=False).model
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for lengths, end, digits in FOUND:
        feeds = {"ids:0": IDS, "parents:0": PARENTS, "lengths:0": np.int32(lengths), "end:0": np.array(end, np.int32)}
        (tokens,) = session.run(None, feeds)
        assert ["".join(map(str, step.ravel())) for step in tokens] == digits.split()


def test_beams_are_the_same_bytes_whenever_they_are_written(path):
    """TensorFlow numbers the functions of its loops."""
    first, second = (bnfold.convert(path, outputs=["beams/tree"], check=False).model for _ in range(2))
    assert first.graph == second.graph
    assert "Loop" in {node.op_type for node in first.graph.node}

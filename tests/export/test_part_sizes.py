"""The sizes of what ops cut out of a tensor, repeat, and put together."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, inference_graph, op_types, random

from bnfold.export.sizes import Sizes
from bnfold.graph.evaluate import Session
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

SIZES = ((2, 4, 6, 8), (3, 6, 2, 4))
"""Of the input: none of them is known where the graph is traced."""


def _crops(x, boxes):
    return tf.image.crop_and_resize(x, boxes, tf.cast(boxes[:, 0] * 0, tf.int32), [3, 2])


CASES = {
    "new axes": (lambda x: x[:, None, ..., None], "0.123."),
    "slices": (lambda x: x[:, 1:, ::2], "0??3"),
    "backwards": (lambda x: x[::-1, :, ::-2], "01?3"),
    "from zero to the far end": (lambda x: tf.strided_slice(x, [0, 0], [2**31 - 1, 2], [1, 1]), "0?23"),
    "backwards from a place": (lambda x: x[3::-1], "?123"),
    "dropped axes": (lambda x: x[0, ..., 1], "12"),
    "dropped behind an ellipsis": (lambda x: x[..., 1, :], "013"),
    "Slice": (lambda x: tf.slice(x, [0, 1, 0, 0], [-1, -1, 2, -1]), "0?.3"),
    "Slice to a size of another axis": (lambda x: tf.slice(x, [0] * 4, [-1, -1, -1, tf.shape(x)[0]]), "0120"),
    "computed bounds": (lambda x: x[:, : tf.shape(x)[1] - 1, ::-1], "0?23"),
    "computed Slice": (lambda x: tf.slice(x, [0, tf.shape(x)[0] - 1, 0, 0], [-1, 1, tf.shape(x)[2], -1]), "0.23"),
    "Pad": (lambda x: tf.pad(x, [[0, 0], [0, 0], [tf.shape(x)[0], 1], [0, tf.shape(x)[1] % 3]]), "01*?"),
    "Tile": (lambda x: tf.tile(x, [1, 3, 1, tf.shape(x)[0]]), "0*2*"),
    "Gather": (lambda x: tf.gather(x, tf.zeros_like(x[:, :, 0, 0], tf.int32), axis=2), "01013"),
    "Gather of a number": (lambda x: tf.gather(x, 1, axis=-1), "012"),
    "Gather in batches": (lambda x: tf.gather(x, tf.zeros_like(x[:, :, 0, 0], tf.int32), axis=2, batch_dims=1), "0113"),
    "old Gather": (lambda x: raw.Gather(params=x, indices=[[1, 0]]), "..123"),
    "Split": (lambda x: tf.split(tf.tile(x, [1, 1, 1, 4]), 2, axis=-1)[1], "012*"),
    "SplitV": (lambda x: raw.SplitV(value=x, size_splits=[1, -1], axis=1, num_split=2)[1], "0?23"),
    "Pack": (lambda x: tf.stack([x, x, x], axis=2), "01.23"),
    "Unpack": (lambda x: tf.unstack(tf.ensure_shape(x, [None, None, None, None])[..., :2], 2, axis=-1)[0], "012"),
    "OneHot": (lambda x: tf.one_hot(tf.cast(x[0, 0], tf.int32), tf.shape(x)[1], axis=0), "123"),
    "OneHot along the last axis": (lambda x: tf.one_hot(tf.cast(x[0, 0], tf.int32), 5), "23."),
    "SpaceToDepth": (lambda x: tf.nn.space_to_depth(tf.tile(x, [1, 2, 4, 1]), 2), "01*?"),
    "DepthToSpace": (lambda x: tf.nn.depth_to_space(x, 2), "0**?"),
    "CropAndResize": (lambda x: _crops(x, x[0, 0, :, :4]), "2..3"),
    "Einsum": (lambda x: tf.einsum("nhwc,nkwc->cnhk", x, x), "3011"),
    "TopKV2": (lambda x: tf.nn.top_k(x, 2).indices, "012."),
    "patches": (lambda x: tf.image.extract_patches(x, [1, 2, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME"), "0???"),
    "Roll": (lambda x: tf.roll(x, [1, 2], [1, 3]), "0123"),
    "Cumsum": (lambda x: tf.cumsum(x, 1), "0123"),
    "MatrixBandPart": (lambda x: tf.linalg.band_part(x, 1, 0), "0123"),
}
"""What each axis of the result is: an axis of the input, . a number, * a polynomial of such, ? not followed."""


@pytest.mark.parametrize("name", CASES)
def test_sizes_of_parts_are_those_at_run_time(name):
    build, expected = CASES[name]
    feeds = [random(*sizes) for sizes in SIZES]
    inference = inference_graph(build, {"x": feeds[0]}, shapes={"x": (None,) * 4})
    output = inference.outputs[0].tensor
    found = Sizes(inference.graph).shape(output)
    assert len(found) == len(expected)
    with Session(inference.graph) as session:
        shapes = [session.run([output], {"x:0": feed})[0].shape for feed in feeds]
    symbols = {f"x:0[{axis}]": axis for axis in range(4)}
    for place, (size, kind) in enumerate(zip(found, expected, strict=True)):
        names = {symbol for monomial, _ in size.terms for symbol in monomial}
        assert (names <= symbols.keys()) == (kind != "?"), str(size)
        if kind == "?":
            continue
        for feed, shape in zip(feeds, shapes, strict=True):
            value = sum(n * int(np.prod([feed.shape[symbols[s]] for s in monomial])) for monomial, n in size.terms)
            assert value == shape[place]
        assert size.known is not None if kind == "." else kind == "*" or str(size) == f"x:0[{kind}]"


def test_reshape_of_parts_needs_no_shape_op():
    def build(x):
        part = tf.gather(tf.tile(x[:, 1:, ::-1], [1, 1, 2, 1]), [1, 0], axis=3)
        size = tf.shape(x)
        return tf.reshape(part, [size[0], -1, size[2] * 4])

    model = assert_lowers(build, {"x": random(2, 4, 6, 8)}, shapes={"x": (None, 4, None, 8)})
    assert "Shape" not in op_types(model)


def test_names_of_sizes_are_kept_when_only_axes_of_size_one_move():
    kernel = random(3, 3, 4, 1, seed=1)
    model = assert_lowers(
        lambda x: tf.nn.conv2d(x[:, ::-1], kernel, 2, "SAME"), {"x": random(2, 7, 5, 4)}, shapes={"x": (None, 7, 5, 4)}
    )
    assert [dim.dim_param or dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] == [
        "N",
        4,
        3,
        1,
    ]
    assert op_types(model)[-1] == "Reshape"

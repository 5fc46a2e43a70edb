"""Where transposes are left, and where not: nets whose channels, heights and widths all differ."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random
from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.export.minimum_cut import MinimumCut
from bnfold.export.reshaping import carried, without_axes
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

X = random(2, 8, 6, 4)
DYNAMIC = (None, None, None, 4)


def conv(x, outputs=4, stride=1, seed=1):
    return tf.nn.conv2d(x, random(3, 3, x.shape[-1], outputs, seed=seed, low=-1, high=1), stride, "SAME")


def transposes(build, *, x=X, shape=None, **options):
    """The number of Transposes in a model that gives the same as TensorFlow."""
    model = assert_lowers(build, {"x": x}, shapes={"x": shape or x.shape}, rtol=2e-5, atol=2e-5, **options)
    return op_types(model).count("Transpose")


@pytest.mark.parametrize("shape", [X.shape, (None, 8, 6, 4), DYNAMIC])
def test_one_transpose_goes_in_and_one_out(shape):
    def build(x):
        y = tf.nn.relu(conv(x) * random(4, seed=3) + random(4, seed=4))
        z = tf.concat([y, conv(y, 3)], -1)
        z = tf.pad(z, [[0, 0], [1, 2], [0, 1], [0, 0]])[:, 1:, :-1]
        return tf.nn.max_pool(conv(z, 4) + 1.0, 2, 2, "SAME") / (1.0 + tf.exp(-x[:1, :1, :1]))

    assert transposes(build, shape=shape) <= 3


@pytest.mark.parametrize("shape", [X.shape, (None, 8, 6, 4)])
@pytest.mark.parametrize("keep", [True, False])
def test_no_transpose_follows_a_global_mean(keep, shape):
    def build(x):
        y = tf.reduce_mean(tf.nn.relu(conv(x, 5)), [1, 2], keepdims=keep)
        return tf.nn.softmax(tf.matmul(tf.reshape(y, [-1, 5]), random(5, 3, seed=5)))

    assert transposes(build, shape=shape) == 1


def test_no_transpose_follows_a_global_pool():
    def build(x):
        y = tf.nn.avg_pool(conv(x, 5), (8, 6), 1, "VALID")
        return tf.nn.softmax(tf.squeeze(conv(y, 7), [1, 2]))

    assert transposes(build) == 1


def test_no_transpose_is_in_squeeze_and_excite():
    def build(x):
        y = conv(x, 6)
        gate = tf.matmul(tf.reduce_mean(y, [1, 2]), random(6, 6, seed=5))
        return conv(y * tf.reshape(tf.sigmoid(gate), [-1, 1, 1, 6]))

    assert transposes(build, shape=(None, 8, 6, 4)) == 2


@pytest.mark.parametrize("shape", [X.shape, (None, 8, 6, 4), DYNAMIC])
def test_one_transpose_shuffles_channels(shape):
    def build(x):
        y = conv(x, 6)
        n, h, w = (tf.shape(y)[i] for i in range(3))
        y = tf.transpose(tf.reshape(y, [n, h, w, 2, 3]), [0, 1, 2, 4, 3])
        return conv(tf.reshape(y, [n, h, w, 6]))

    assert transposes(build, shape=shape) == 3


def test_no_transpose_is_left_when_the_graph_itself_goes_to_channels_first():
    def build(x):
        y = tf.transpose(tf.nn.relu(conv(x)), [0, 3, 1, 2])
        return tf.nn.sigmoid(y * random(4, 1, 1, seed=6))

    assert transposes(build) == 1


def test_no_transpose_is_left_between_two_of_the_graphs_own():
    def build(x):
        y = tf.transpose(x, [0, 3, 1, 2])
        y = tf.transpose(tf.nn.relu(y), [0, 2, 3, 1])
        return conv(tf.transpose(tf.transpose(y, [0, 2, 1, 3]), [0, 2, 1, 3]))

    assert transposes(build) == 2


def test_an_axis_of_size_one_is_moved_by_a_reshape():
    x = random(2, 8, 6, 1)
    model = assert_lowers(lambda x: tf.nn.relu(conv(x, 3)), {"x": x}, shapes={"x": (None, 8, 6, 1)}, rtol=1e-5)
    assert op_types(model) == ["Reshape", "Conv", "Relu", "Transpose"]


def test_each_value_is_transposed_once():
    def build(x):
        y = conv(x)
        flat = tf.reshape(y, [-1, 24])
        return tf.reshape(y, [-1, 12]), tf.matmul(flat, random(24, 3)), tf.matmul(tf.reshape(y, [-1, 6]), random(6, 2))

    assert transposes(build) == 2


@pytest.mark.parametrize("shape", [X.shape, (None, 8, 6, 4)])
def test_rows_of_a_kernel_follow_a_flattened_image(shape):
    def build(x):
        flat = tf.reshape(tf.nn.relu(conv(x, 5)), [-1, 240])
        return tf.matmul(flat, random(240, 3, seed=2)) + random(3, seed=4), tf.matmul(
            flat, random(7, 240, seed=3), transpose_b=True
        )

    assert transposes(build, shape=shape) == 1


def test_rows_of_a_kernel_stay_when_others_read_the_flattened_image():
    def build(x):
        flat = tf.reshape(conv(x, 5), [-1, 240], name="flat")
        return tf.matmul(flat, random(240, 3, seed=2)), flat

    assert transposes(build) == 2


def test_convolution_of_three_axes_is_channels_first():
    def build(x):
        y = tf.nn.conv3d(x, random(2, 2, 2, 3, 4, seed=1), [1] * 5, "SAME")
        return tf.reduce_max(tf.nn.relu(y), [1, 2, 3])

    assert transposes(build, x=random(2, 5, 6, 7, 3)) == 1


def test_convolution_of_one_axis_needs_one_transpose_each_way():
    def build(x):
        y = tf.nn.relu(tf.nn.conv1d(x, random(3, 4, 5, seed=1), 1, "SAME"))
        return tf.nn.conv1d(y, random(3, 5, 6, seed=2), 1, "SAME")

    assert transposes(build, x=random(2, 9, 4)) == 2


def test_vectors_and_scalars_broadcast_in_every_layout():
    def build(x, vector, matrix):
        y = conv(x) + vector
        return conv(y * matrix) * tf.reduce_sum(vector)

    feeds = {"x": X, "vector": random(4), "matrix": random(6, 1)}
    assert_lowers(build, feeds, rtol=2e-5, atol=2e-5)


def test_channels_first_graph_is_left_alone():
    def build(x):
        y = tf.nn.bias_add(tf.transpose(conv(tf.transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2]), random(4), "NCHW")
        return tf.nn.relu(y) + random(4, 1, 1)

    assert transposes(build, x=random(2, 4, 8, 6)) == 0


def test_layout_ends_at_a_gather_when_it_takes_one_item():
    kernel = random(3, 3, 2, 4)

    def build(frames, index):
        return tf.nn.conv2d(tf.nn.relu(tf.gather(frames, index)), kernel, 1, "SAME")

    assert_lowers(build, {"frames": random(3, 4, 6, 5, 2), "index": np.int32(1)})


def test_layout_ends_at_a_gather_when_its_indices_have_two_axes():
    kernel = random(3, 3, 2, 4)

    def build(rows, index):
        return tf.nn.conv2d(tf.nn.relu(tf.gather(rows, index)), kernel, 1, "SAME")

    assert_lowers(build, {"rows": random(7, 5, 2), "index": np.int32([[1, 6, 0, 2], [5, 3, 3, 4]])})


@pytest.mark.parametrize("dynamic", [False, True])
def test_layout_ends_at_a_gather_when_each_image_has_its_own_indices(dynamic):
    """All sizes are 5: a wrong order of the axes would have the right shape."""

    def build(x, index):
        y = tf.gather(tf.nn.conv2d(x, random(3, 3, 5, 5), 1, "SAME"), index, axis=3, batch_dims=1)
        return tf.nn.conv2d(y, random(3, 3, 5, 5, seed=1), 1, "SAME")

    feeds = {"x": random(2, 5, 5, 5), "index": np.int32([[4, 3, 2, 1, 0], [0, 0, 1, 1, 2]])}
    assert_lowers(build, feeds, dynamic=dynamic, rtol=2e-5, atol=2e-5)


def test_complex_vectors_broadcast_in_every_layout():
    def build(x, y):
        rows = tf.transpose(tf.signal.fft(tf.cast(x, tf.complex64)), [1, 0])
        total = rows + tf.signal.fft(tf.cast(y, tf.complex64)) * tf.constant([1 + 2j, 3, 4j, 5], tf.complex64)
        return tf.math.real(tf.transpose(total * 2.0, [1, 0]))

    assert_lowers(build, {"x": random(4, 8), "y": random(4)}, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [X.shape, (None, 8, 6, 4), DYNAMIC])
def test_axes_are_kept_by_the_mean_when_a_reshape_puts_them_back(shape):
    def build(x):
        y = conv(x, 6)
        return y * tf.reshape(tf.reduce_mean(y, [1, 2]), [-1, 1, 1, 6])

    model = assert_lowers(build, {"x": X}, shapes={"x": shape}, rtol=2e-5, atol=2e-5)
    assert op_types(model) == ["Transpose", "Conv", "ReduceMean", "Mul", "Transpose"]


def test_axes_are_put_back_by_the_reshape_when_they_are_others():
    def build(x):
        return tf.reshape(tf.reduce_sum(conv(x, 6), [1, 2]), [-1, 1, 6, 1])

    assert "Reshape" in op_types(assert_lowers(build, {"x": X}, rtol=2e-5, atol=2e-5))


# The arithmetic underneath


@st.composite
def reshapes(draw):
    """A shape, a permutation of it, and another shape of the same elements."""
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=2, max_size=4)))
    permutation = tuple(draw(st.permutations(range(len(shape)))))
    left, after = int(np.prod(shape)), []
    while left > 1 and len(after) < 4 and draw(st.booleans()):
        factor = draw(st.sampled_from([f for f in range(1, left + 1) if left % f == 0]))
        after.append(factor)
        left //= factor
    return shape, permutation, (*after, left)


@given(reshapes())
@settings(max_examples=300)
def test_reshape_of_what_is_stored_is_what_is_stored_of_the_reshape(case):
    shape, permutation, after = case
    stores = carried(shape, after, permutation)
    if stores is not None:
        x = np.arange(np.prod(shape)).reshape(shape)
        wanted = x.reshape(after).transpose(stores)
        np.testing.assert_array_equal(x.transpose(permutation).reshape(wanted.shape), wanted)


@given(st.permutations(range(4)), st.sets(st.integers(0, 3), max_size=3))
def test_reduction_of_what_is_stored_is_what_is_stored_of_the_reduction(permutation, dropped):
    x = np.arange(120).reshape(2, 3, 4, 5)
    left = without_axes(tuple(permutation), dropped)
    wanted = x.sum(tuple(dropped)) if left is None else x.sum(tuple(dropped)).transpose(left)
    got = x.transpose(permutation).sum(tuple(permutation.index(axis) for axis in dropped))
    np.testing.assert_array_equal(got, wanted)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 9)), max_size=14))
def test_cut_is_the_cheapest_of_all(edges):
    """Nodes 0 and 5 are the source and the sink; all ways to divide the other four are tried."""
    names = {0: "source", 5: "sink"}
    cut = MinimumCut()
    for a, b, cost in edges:
        cut.add(names.get(a, a), names.get(b, b), cost)
    side = {node for node in range(6) if names.get(node, node) in cut.source_side()} | {0}

    def cost_of(chosen):
        return sum(cost for a, b, cost in edges if a in chosen and b not in chosen)

    best = min(cost_of({0} | {1 + i for i in range(4) if bits >> i & 1}) for bits in range(16))
    assert 5 not in side
    assert cost_of(side) == best


def test_image_is_transposed_once_when_its_channels_are_taken_apart():
    """Of a lone channel only an axis of size 1 moves, but a Reshape cannot say so: three sizes are unknown."""

    def build(x):
        first, *others = tf.split(x, 4, axis=3)
        return conv(tf.concat([first * 1.5, *(other - 2.0 for other in others)], 3))

    assert transposes(build, shape=DYNAMIC) == 2

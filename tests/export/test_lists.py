"""Lists that loops read and fill."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, body_of, op_types, random

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()


def running(x, n=None, element_shape=None):
    """Running sums along axis 0, each written to a TensorArray, the rows read from another."""
    steps = tf.shape(x)[0]
    rows = tf.TensorArray(tf.float32, size=steps).unstack(x)
    sums = tf.TensorArray(tf.float32, size=steps, element_shape=element_shape)

    def body(i, total, sums):
        total = total * 0.5 + rows.read(i)
        return i + 1, total, sums.write(i, total)

    limit = steps if n is None else n
    _, total, sums = tf.while_loop(lambda i, *_: i < limit, body, [0, tf.zeros_like(x[0]), sums])
    return total, sums.stack()


def test_list_is_a_scan_output_when_it_is_only_written(control_flow):
    model = assert_lowers(running, {"x": random(4, 2, 3)}, opsets=(13, 18))
    assert "Concat" not in op_types(model)
    assert "ScatterND" not in [node.op_type for node in body_of(model, "Loop", "body").node]
    assert_lowers(running, {"x": random(4, 2, 3)}, {"x": random(7, 5, 3)}, dynamic=True)


def test_list_ends_in_zeros_when_the_loop_stops_early(control_flow):
    feeds = [{"x": random(4, 2, 3), "n": np.array(n, np.int32)} for n in (2, 4)]
    assert_lowers(running, *feeds)
    assert_lowers(running, *feeds, dynamic=True)


def test_list_is_the_same_when_it_is_read_too(control_flow):
    def build(x, n):
        series = tf.TensorArray(tf.float32, size=n, clear_after_read=False).write(0, x).write(1, x * 2.0)
        step = lambda i, s: (i + 1, s.write(i, s.read(i - 1) + 0.5 * s.read(i - 2)))  # noqa: E731
        return tf.while_loop(lambda i, s: i < n, step, [2, series])[1].stack()

    assert_lowers(build, {"x": random(2), "n": np.array(6, np.int32)})
    assert_lowers(build, {"x": random(2), "n": np.array(6, np.int32)}, dynamic=True)


def test_list_is_the_same_when_written_and_read_outside_loops(control_flow):
    def build(x):
        array = tf.TensorArray(tf.float32, size=3, clear_after_read=False)
        array = array.write(2, x).write(0, x * 2.0).write(1, -x)
        return array.stack(), array.concat(), array.read(1), array.gather([2, 0]), array.size()

    assert_lowers(build, {"x": random(2, 3)})


def test_list_is_the_same_when_split_and_scattered(control_flow):
    lengths = np.array([3, 3], np.int64)

    def build(x):
        parts = tf.TensorArray(tf.float32, size=2).split(x, lengths)
        placed = tf.TensorArray(tf.float32, size=6, element_shape=[4]).scatter([5, 0, 2, 1, 4, 3], x)
        return parts.stack(), placed.stack()

    assert_lowers(build, {"x": random(6, 4)})


def test_list_is_the_same_when_pushed_and_popped():
    raw = tf.raw_ops

    def build(x):
        handle = raw.EmptyTensorList(element_shape=[3], max_num_elements=-1, element_dtype=tf.float32)
        for factor in (1.0, 2.0, 3.0):
            handle = raw.TensorListPushBack(input_handle=handle, tensor=x * factor)
        rest, last = raw.TensorListPopBack(input_handle=handle, element_shape=[3], element_dtype=tf.float32)
        longer = raw.TensorListResize(input_handle=rest, size=4)
        shape = raw.TensorListElementShape(input_handle=rest, shape_type=tf.int32)
        stack = lambda h: raw.TensorListStack(input_handle=h, element_shape=[3], element_dtype=tf.float32)  # noqa: E731
        return stack(rest), last, stack(longer), raw.TensorListLength(input_handle=handle), shape

    assert_lowers(build, {"x": random(3)})


def test_list_is_the_same_when_a_loop_pushes(control_flow):
    raw = tf.raw_ops

    def build(x, n):
        handle = raw.EmptyTensorList(element_shape=-1, max_num_elements=-1, element_dtype=tf.float32)
        push = lambda i, h: (i + 1, raw.TensorListPushBack(input_handle=h, tensor=x + tf.cast(i, tf.float32)))  # noqa: E731
        _, handle = tf.while_loop(lambda i, h: i < n, push, [0, handle])
        return raw.TensorListStack(input_handle=handle, element_shape=[2, 3], element_dtype=tf.float32)

    if control_flow == "functions":  # TensorFlow 1's loops carry no lists of TensorFlow 2
        model = assert_lowers(build, {"x": random(2, 3), "n": np.array(4, np.int32)})
        assert [node.op_type for node in body_of(model, "Loop", "body").node].count("Concat") == 0


@pytest.mark.parametrize("known", [True, False])
def test_list_is_the_same_when_it_grows(control_flow, known):
    def build(x, n):
        def body(i, rows):
            return i + 1, rows.write(i, x * tf.cast(i, tf.float32))

        def skipping(i, rows):
            return i + 1, tf.cond(i % 2 > 0, lambda: rows.write(rows.size(), x + 1.0), lambda: rows)

        shape = [2, 3] if known else None
        ends = []
        for step in (body, skipping):
            rows = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=shape)
            ends.append(tf.while_loop(lambda i, _: i < n, step, [0, rows])[1].stack())
        return ends

    feeds = [{"x": random(2, 3), "n": np.array(n, np.int32)} for n in (5, 2)]
    model = assert_lowers(build, *feeds)
    assert [node.op_type for node in body_of(model, "Loop", "body").node].count("ScatterND") == 0
    assert_lowers(build, *feeds, shapes={"x": (None, 3)})


def test_mapping_is_the_same(control_flow):
    double = lambda row: tf.reduce_sum(row) * row  # noqa: E731
    assert_lowers(lambda x: tf.map_fn(double, x), {"x": random(4, 3)}, rtol=1e-5)
    assert_lowers(lambda x: tf.scan(lambda a, row: a * 0.5 + row, x), {"x": random(4, 3)}, dynamic=True)
    assert_lowers(lambda x: tf.foldl(lambda a, row: a * 0.5 + row, x), {"x": random(4, 3)})


# Items that differ


def test_items_are_the_same_when_they_differ_in_length(control_flow):
    def build(x, n):
        written = tf.TensorArray(tf.float32, size=2, infer_shape=False, clear_after_read=False)
        written = written.write(1, x[1:]).write(0, x[:1])
        parts = tf.TensorArray(tf.float32, size=2, infer_shape=False, clear_after_read=False).split(x, n)
        return written.concat(), written.read(1), written.size(), parts.read(0), parts.read(1), parts.size()

    feeds = [{"x": random(4, 3), "n": np.array(lengths, np.int32)} for lengths in ([1, 3], [4, 0])]
    assert_lowers(build, *feeds)
    assert_lowers(build, *feeds, dynamic=True)


def test_list_is_refused_when_a_loop_has_to_carry_items_that_differ():
    def build(x):
        parts = tf.TensorArray(tf.float32, size=2, infer_shape=False).split(x, [1, 3])
        return tf.while_loop(lambda i, _: i < 2, lambda i, a: (i + 1, a + tf.reduce_sum(parts.read(i))), [0, 0.0])[1]

    with pytest.raises(ExportError, match="TensorListGetItem"):
        assert_lowers(build, {"x": random(4, 3)})


@pytest.mark.parametrize("dynamic", [False, True])
def test_list_is_the_same_when_items_are_scattered_out_of_order(control_flow, dynamic):
    def build(x, places):
        some = tf.TensorArray(tf.float32, size=5).scatter([3, 1, 0, 4], x)
        grown = tf.TensorArray(tf.float32, size=0, dynamic_size=True).scatter(places, x)
        return some.stack(), grown.stack(), grown.size()

    feeds = {"x": random(4, 3), "places": np.array([3, 1, 0, 2], np.int32)}
    assert_lowers(build, feeds, dynamic=dynamic)


def test_list_is_the_same_when_branches_write_to_it(control_flow):
    def choice(row):
        return tf.cond(row[0] > 0, lambda: row, lambda: -row)

    def build(x):
        step = lambda i, t: (i + 1, tf.cond(x[i, 0] > 0, lambda: t.write(i, x[i]), lambda: t.write(i, -x[i])))  # noqa: E731
        written = tf.while_loop(lambda i, _: i < 4, step, [0, tf.TensorArray(tf.float32, size=4)])[1]
        return tf.map_fn(choice, x), written.stack()

    assert_lowers(build, {"x": random(4, 3)})
    assert_lowers(build, {"x": random(4, 3)}, dynamic=True)


def test_list_is_all_zeros_when_the_loop_does_not_run(control_flow):
    """The items' sizes are those of the list, although nothing of that shape was ever made."""

    def build(x, n):
        def body(i, items):
            return i + 1, items.write(i, x[i])

        items = tf.TensorArray(tf.float32, size=3, element_shape=[4])
        return tf.while_loop(lambda i, _: i < n, body, [0, items])[1].stack()

    feeds = [{"x": random(3, 4), "n": np.array(n, np.int32)} for n in (0, 2, 3)]
    assert_lowers(build, *feeds, dynamic=True)

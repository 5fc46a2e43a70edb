"""Shapes and axes of one data format in the words of another."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

FORMATS = [("NHWC", "NCHW"), ("NCHW", "NHWC"), ("NHWC", "HWNC"), ("NDHWC", "NCDHW")]


@pytest.mark.parametrize(("source", "target"), FORMATS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_axes_are_mapped(source, target, dtype):
    build = lambda x: raw.DataFormatDimMap(x=x, src_format=source, dst_format=target)  # noqa: E731
    count = len(source)
    assert_lowers(build, {"x": np.arange(-count, count, dtype=dtype).reshape(2, count)}, dynamic=True)
    assert_lowers(build, {"x": dtype(-1)})


@pytest.mark.parametrize(("source", "target"), FORMATS)
@pytest.mark.parametrize("dynamic", [False, True])
def test_shapes_are_permuted(source, target, dynamic):
    build = lambda x: raw.DataFormatVecPermute(x=x, src_format=source, dst_format=target)  # noqa: E731
    for size in (len(source), len(source) - 2):
        if size == 3 or (size == 2 and source == "NDHWC"):
            continue  # of five axes TensorFlow takes whole shapes alone
        vector, pairs = np.arange(10, 10 + size, dtype=np.int32), np.arange(2 * size, dtype=np.int64).reshape(size, 2)
        assert_lowers(build, {"x": vector}, dynamic=dynamic)
        assert_lowers(build, {"x": pairs}, dynamic=dynamic)

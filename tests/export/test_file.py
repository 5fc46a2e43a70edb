"""The file: every opset that is offered, a type for every value, the same bytes from another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from harness import inference_graph, random, require_runtime

from bnfold.export import NEWEST_OPSET, OLDEST_OPSET, export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

X = random(1, 13, 12, 3, low=-2, high=2)


def network(x):
    """A bit of each family, with sizes that are computed from sizes."""
    kernel, vector = random(3, 3, 3, 4, seed=1, low=-1, high=1), random(4, seed=2)
    y = tf.nn.conv2d(x, kernel, 2, "SAME") + vector
    y = tf.nn.gelu(tf.nn.batch_normalization(y, *tf.nn.moments(y, [-1], keepdims=True), vector, vector + 2.0, 1e-3))
    y = tf.compat.v1.image.resize_bilinear(y, tf.shape(x)[1:3])
    y = tf.concat([y, tf.pad(tf.nn.max_pool(x, 3, 1, "SAME")[:, 1:], [[0, 0], [1, 0], [0, 0], [0, 0]])], -1)
    total, index = tf.math.top_k(tf.reshape(tf.reduce_max(tf.nn.softmax(y), [3]), [tf.shape(x)[0], -1]), 5)
    return tf.cumsum(total, 1), index, tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s * 0.5), (0, y))[1]


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    return [value.numpy() for value in network(tf.constant(X))]


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST_OPSET + 1))
def test_file_is_whole_and_right_in_every_opset(opset: int, expected: list[np.ndarray], tmp_path: Path):
    model = export(inference_graph(network, {"x": X}, shapes={"x": (None, None, None, 3)}), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": opset}
    onnx.save(model, tmp_path / "m.onnx")
    require_runtime(model)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for ours, theirs in zip(session.run(None, {session.get_inputs()[0].name: X}), expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def branches(x):
    """Ops that take several nodes each, in bodies."""
    halved = tf.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, tf.math.floormod(s, 1.5) + s // 2.0), (0, x))[1]
    return halved, tf.cond(tf.reduce_sum(x) > 0, lambda: tf.math.squared_difference(x, 2.0 * x) % 3.0, lambda: x)


@pytest.mark.parametrize("build", [network, branches])
def test_every_value_has_its_type_and_rank(build):
    model = export(inference_graph(build, {"x": X}, shapes={"x": (None, None, None, 3)}))
    for graph in _graphs(model.graph):
        infos = {info.name: info.type.tensor_type for info in (*graph.value_info, *graph.output)}
        for name in (name for node in graph.node for name in node.output if name):
            assert infos[name].elem_type, name
            assert infos[name].HasField("shape"), name


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute if attribute.HasField("g")):
        yield from _graphs(attribute.g)


def test_bytes_are_the_same_when_another_process_hashes_otherwise(sample_model: Callable[[str], Path], tmp_path: Path):
    source, target = sample_model("separable_segmenter"), tmp_path / "m.onnx"
    code = "from bnfold.cli import main; main()"
    written = []
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, "convert", str(source), str(target), "--no-check"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed})
        written.append(target.read_bytes())
    assert written[0] == written[1]

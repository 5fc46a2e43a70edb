"""bnfold's own time and memory on graphs of more and more nodes, and of more and more weights."""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.measure import IMPORT_TENSORFLOW, bnfold, compare, cost, python
from bnfold.export import lower
from bnfold.fold import fold_batch_norms
from bnfold.graph import Graph, Node, constant
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.graph_def import to_graph_def
from bnfold.inference import infer
from bnfold.load import load


def chain(layers: int, channels: int) -> Graph:
    """``layers`` times conv → batch norm → ReLU, each with weights of its own."""
    random = np.random.default_rng(0)
    graph = Graph([Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": (None, 8, 8, channels)})])
    tensor = "x:0"
    conv = {"T": FLOAT32, "strides": [1, 1, 1, 1], "padding": "SAME", "data_format": "NHWC", "dilations": [1, 1, 1, 1]}
    norm = {"T": FLOAT32, "U": FLOAT32, "epsilon": 1e-3, "data_format": "NHWC", "is_training": False}
    for i in range(layers):
        name = f"layer{i}"
        kernel = random.normal(0, 0.05, (3, 3, channels, channels)).astype(np.float32)
        graph.add(constant(f"{name}/kernel", kernel))
        for key, low in (("gamma", 0.5), ("beta", -0.1), ("mean", -0.1), ("variance", 0.5)):
            graph.add(constant(f"{name}/{key}", random.uniform(low, low + 1, channels).astype(np.float32)))
        graph.add(Node(f"{name}/conv", "Conv2D", (tensor, f"{name}/kernel:0"), conv))
        statistics = tuple(f"{name}/{key}:0" for key in ("gamma", "beta", "mean", "variance"))
        graph.add(Node(f"{name}/norm", "FusedBatchNormV3", (f"{name}/conv:0", *statistics), norm))
        graph.add(Node(f"{name}/relu", "Relu", (f"{name}/norm:0",), {"T": FLOAT32}))
        graph.add(Node(f"{name}/identity", "Identity", (f"{name}/relu:0",), {"T": FLOAT32}))
        tensor = f"{name}/identity:0"
    return graph


DENSE = """
import sys
import tensorflow.compat.v1 as tf
tf.disable_eager_execution()
prefix, width, layers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
y = tf.placeholder(tf.float32, [None, width], name="x")
for i in range(layers):
    with tf.variable_scope(f"dense{i}"):
        kernel = tf.get_variable("kernel", [width, width], initializer=tf.random_normal_initializer(stddev=width**-0.5))
        vectors = [
            tf.get_variable(name, [width], initializer=tf.random_uniform_initializer(low, low + 1))
            for name, low in (("mean", -0.5), ("variance", 0.5), ("beta", -0.5), ("gamma", 0.5))
        ]
        y = tf.nn.relu(tf.nn.batch_normalization(tf.matmul(y, kernel), *vectors, 1e-3))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, prefix)
"""
"""Writes a checkpoint of dense layers with batch norms: a frozen graph ends at 2 GB, a checkpoint does not."""


def main() -> list[str]:
    """Lines of the result."""
    return [*_nodes(), "", *_weights()]


def _nodes() -> list[str]:
    lines = [
        "## Growth with nodes, TensorFlow's import left out",
        "",
        "| nodes | weights MB | load | infer | fold | export | total | µs / node |",
        "|" + "---|" * 8,
    ]
    with tempfile.TemporaryDirectory() as folder:
        for layers, channels in ((110, 16), (550, 16), (1100, 16), (2750, 16), (5500, 16), (30, 256), (120, 256)):
            path = Path(folder) / "chain.pb"
            path.write_bytes(to_graph_def(chain(layers, channels)).SerializeToString())
            lines.append(_row(path))
    return lines


def _row(path: Path) -> str:
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    source = load(path)
    mark()
    inference = infer(source)
    mark()
    folding = fold_batch_norms(inference)
    mark()
    lower(folding.inference)
    mark()
    nodes = len(source.graph)
    stages = " | ".join(f"{after - before:.2f} s" for before, after in pairwise(marks))
    total = marks[-1] - marks[0]
    return f"| {nodes} | {path.stat().st_size / 1e6:.0f} | {stages} | {total:.2f} s | {1e6 * total / nodes:.0f} |"


def _weights() -> list[str]:
    lines = [
        "## Growth with weights: `convert --no-check`, TensorFlow's import taken off",
        "",
        "| weights MB | time | memory | × weights |",
        "|" + "---|" * 4,
    ]
    bare = compare({"import": IMPORT_TENSORFLOW}, runs=3)["import"]
    for width, layers in ((512, 10), (2048, 6), (4096, 6), (8192, 6), (8192, 9), (8192, 15)):
        with tempfile.TemporaryDirectory() as folder:
            prefix = Path(folder) / "dense.ckpt"
            cost([*python(DENSE), str(prefix), str(width), str(layers)])
            found = cost(bnfold("convert", prefix, Path(folder) / "dense.onnx", "--no-check"))
        size = layers * (width * width + 4 * width) * 4 / 1e6
        more = found.megabytes - bare.megabytes
        lines.append(f"| {size:.0f} | {found.seconds - bare.seconds:.1f} s | {more:.0f} MB | {more / size:.1f} |")
    return lines

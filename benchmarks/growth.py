"""bnfold's own time and memory on graphs of more and more nodes, and of more and more weights."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.document import DOCS
from benchmarks.measure import IMPORT_TENSORFLOW, bnfold_after_import, compare, cost, python
from benchmarks.plot import log_log
from benchmarks.request import Request
from benchmarks.table import Section
from bnfold.graph import Graph, Node, constant
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.graph_def import to_graph_def


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


LAYERS = (110, 220, 550, 1100, 2750, 5500)
"""Of nine nodes each."""

DENSE_SIZES = ((512, 10), (1024, 10), (2048, 10), (4096, 6), (4096, 12), (8192, 6), (8192, 9), (8192, 15))
"""Width and number of dense layers: 11 MB to 4 GB."""

STAGES = ("load", "infer", "fold", "export")


def main(request: Request) -> list[Section]:
    """Both axes of growth; the plots are written beside the docs."""
    return [_nodes(request), _weights(request)]


def _nodes(request: Request) -> Section:
    rows, points = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.pb"
        for layers in LAYERS:
            graph = chain(layers, 16)
            path.write_bytes(to_graph_def(graph).SerializeToString())
            command = bnfold_after_import("convert", path, Path(folder) / "chain.onnx", "--no-check", "--json")
            bare, found = compare({"import": IMPORT_TENSORFLOW, "ours": command}, runs=request.runs).values()
            stages = json.loads(found.said)["seconds"]
            total, more = found.cpu - bare.cpu, found.megabytes - bare.megabytes
            nodes = len(graph)
            points.append((float(nodes), total))
            each = [f"{stages[stage]:.2f}" for stage in STAGES]
            rows.append([f"{nodes}", *each, f"{total:.1f}", f"{1e6 * total / nodes:.0f}", f"{more:.0f}"])
    log_log(DOCS / "growth-nodes.svg", {"bnfold": points}, x="nodes of the TensorFlow graph", y="seconds of CPU")
    return Section(
        "growth-nodes",
        "Growth with nodes",
        "Chains of convolution, batch norm and ReLU in a frozen graph: `convert --no-check`, a whole process, a bare "
        "`import tensorflow` taken off. Stages in seconds, the total in seconds of CPU; memory in MB above the import.",
        ("nodes", *STAGES, "total", "µs / node", "memory"),
        rows,
        ("growth-nodes.svg",),
    )


def _weights(request: Request) -> Section:
    rows, times, memory = [], [], []
    for width, layers in DENSE_SIZES:
        with tempfile.TemporaryDirectory() as folder:
            prefix = Path(folder) / "dense.ckpt"
            cost([*python(DENSE), str(prefix), str(width), str(layers)])
            command = bnfold_after_import("convert", prefix, Path(folder) / "dense.onnx", "--no-check")
            bare, found = compare({"import": IMPORT_TENSORFLOW, "ours": command}, runs=request.runs).values()
        size = layers * (width * width + 4 * width) * 4 / 1e6
        seconds, more = found.cpu - bare.cpu, found.megabytes - bare.megabytes
        times.append((size, seconds))
        memory.append((size, more))
        rows.append([f"{size:.0f}", f"{seconds:.1f}", f"{more:.0f}", f"{more / size:.1f}"])
    log_log(DOCS / "growth-weights.svg", {"seconds": times}, x="weights, MB", y="seconds of CPU")
    log_log(DOCS / "growth-memory.svg", {"memory": memory}, x="weights, MB", y="MB above the import")
    return Section(
        "growth-weights",
        "Growth with weights",
        "Dense layers with batch norms in a checkpoint: `convert --no-check`, a whole process, a bare "
        "`import tensorflow` taken off. Seconds of CPU; memory above the import.",
        ("weights MB", "seconds", "memory MB", "× weights"),
        rows,
        ("growth-weights.svg", "growth-memory.svg"),
    )

"""bnfold's own time on graphs of growing size: TensorFlow's import left out."""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from bnfold.export import export
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


def main() -> list[str]:
    """Lines of the result."""
    lines = [
        "## Growth",
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
    export(folding.inference)
    mark()
    nodes = len(source.graph)
    stages = " | ".join(f"{after - before:.2f} s" for before, after in pairwise(marks))
    total = marks[-1] - marks[0]
    return f"| {nodes} | {path.stat().st_size / 1e6:.0f} | {stages} | {total:.2f} s | {1e6 * total / nodes:.0f} |"

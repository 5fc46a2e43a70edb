"""The networks that both tools convert: inference graphs, unfolded, as frozen ``.pb`` files.

Each is written by bnfold itself (``convert … x.pb --no-fold``), so that the peer, which has no inference pass, is
given the right graph, names and all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.checkpoints import trained
from benchmarks.measure import bnfold

APPLICATIONS = {
    "MobileNetV2": (224, 224, 3),
    "ResNet50": (224, 224, 3),
    "ResNet152": (224, 224, 3),
    "DenseNet121": (224, 224, 3),
    "InceptionV3": (299, 299, 3),
    "Xception": (299, 299, 3),
    "EfficientNetB0": (224, 224, 3),
    "NASNetMobile": (224, 224, 3),
    "MobileNetV3Large": (224, 224, 3),
    "ConvNeXtTiny": (224, 224, 3),
}
"""Networks of ``tf.keras.applications``, with random weights and statistics, and their input shapes."""

_KERAS = """
import sys, json, numpy as np, tensorflow as tf, bnfold
name, shape, target = sys.argv[1], tuple(json.loads(sys.argv[2])), sys.argv[3]
model = getattr(tf.keras.applications, name)(weights=None, input_shape=shape)
random = np.random.default_rng(0)
for layer in model.layers:
    if isinstance(layer, tf.keras.layers.BatchNormalization):
        n = layer.moving_mean.shape
        layer.moving_mean.assign(random.normal(0, 0.1, n)); layer.moving_variance.assign(random.uniform(0.5, 1.5, n))
        if layer.gamma is not None: layer.gamma.assign(random.uniform(0.5, 1.5, n))
        if layer.beta is not None: layer.beta.assign(random.normal(0, 0.1, n))
conversion = bnfold.convert(model, target, fold=False, check=False)
r = conversion.report
print(json.dumps({"inputs": [e.as_json() for e in r.inputs], "outputs": [e.as_json() for e in r.outputs]}))
"""


@dataclass(frozen=True)
class Network:
    """A frozen inference graph.

    Attributes
    ----------
    name : str
    path : Path
    inputs : dict of str to list
        Tensor name → shape, with None for sizes left open.
    outputs : list of str
    """

    name: str
    path: Path
    inputs: dict[str, list[int | None]]
    outputs: list[str]

    @property
    def megabytes(self) -> float:
        return self.path.stat().st_size / 1e6


def networks(folder: Path, names: Collection[str] = ()) -> Iterator[tuple[str, Callable[[], Network]]]:
    """The networks called ``names`` (or all), and what writes each into ``folder``."""
    commands: dict[str, Callable[[Path], list[str]]] = {name: partial(_frozen, it) for name, it in trained().items()}
    commands |= {name: partial(_keras, name, shape) for name, shape in APPLICATIONS.items()}
    for name, command in commands.items():
        if not names or name in names:
            path = folder / f"{name}.pb"
            yield name, partial(_network, name, path, command(path))


def _frozen(source: Path, path: Path) -> list[str]:
    return bnfold("convert", source, path, "--no-fold", "--no-check", "--json")


def _keras(name: str, shape: Sequence[int], path: Path) -> list[str]:
    return [sys.executable, "-c", _KERAS, name, json.dumps(shape), str(path)]


def _network(name: str, path: Path, command: list[str]) -> Network:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    report = json.loads(said[said.index("{") :])
    inputs = {endpoint["tensor"]: endpoint["shape"] for endpoint in report["inputs"]}
    return Network(name, path, inputs, [endpoint["tensor"] for endpoint in report["outputs"]])

"""A small training graph of TensorFlow 1, saved at run time, with the values that its variables had."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bnfold.graph import Graph, Node, constant
from bnfold.graph.evaluate import run
from bnfold.graph.stages import SourceModel

v1 = tf.compat.v1


@dataclass(frozen=True)
class Saved:
    """A checkpoint and the truth: what each variable held, by the name of its node."""

    prefix: Path
    values: dict[str, np.ndarray]

    def copied_to(self, folder: Path) -> Path:
        """The prefix of a copy of all its files in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.prefix.parent.iterdir():
            shutil.copy(path, folder / path.name)
        return folder / self.prefix.name


def _save_training_graph(folder: Path, *, resource: bool = False, step: int = 7, **saver_options: object) -> Saved:
    """Save a dense layer with a batch norm's variables, momentum slots and a global step."""
    rng = np.random.default_rng(3)
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("net", use_resource=resource):
            x = v1.placeholder(tf.float32, (None, 5), name="x")
            kernel = v1.get_variable("dense/kernel", initializer=rng.normal(size=(5, 3)).astype(np.float32))
            gamma = v1.get_variable("bn/gamma", initializer=np.float32([-0.5, 1.5, 2.0]))
            mean = v1.get_variable("bn/moving_mean", initializer=np.float32([0.1, -3.0, 5.0]), trainable=False)
            loss = tf.reduce_sum(((x @ kernel) - mean) * gamma, name="loss")
        v1.add_to_collection("losses", loss)
        update = v1.assign_sub(mean, mean * 0.1)
        v1.add_to_collection("update_ops", update)
        global_step = v1.train.get_or_create_global_step()
        train = v1.train.MomentumOptimizer(0.01, 0.9).minimize(loss, global_step=global_step)
        v1.add_to_collection("train_op", train)
        session.run(v1.global_variables_initializer())
        session.run(global_step.assign(step - 1))
        session.run(train, {x: rng.normal(size=(4, 5))})
        saver = v1.train.Saver(save_relative_paths=True, **saver_options)
        prefix = saver.save(session, str(folder / "model.ckpt"), global_step=step)
        values = {variable.op.name: session.run(variable) for variable in v1.global_variables()}
    return Saved(Path(prefix), values)


@pytest.fixture(scope="session")
def save_training_graph() -> Callable[..., Saved]:
    """Saves the small training graph into a folder."""
    return _save_training_graph


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A checkpoint of the small training graph; do not change its files."""
    return _save_training_graph(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="session")
def fixture_folder() -> Callable[[str], Path]:
    """The folder of a committed fixture, by name."""
    return lambda name: Path(__file__).resolve().parent.parent / "fixtures" / name


def _computed(source: SourceModel, *inputs: np.ndarray) -> list[np.ndarray]:
    """What the first signature of ``source`` gives, its variables put in as constants."""
    signature = source.signatures[0]
    outputs = list(signature.outputs.values())
    graph: Graph = source.graph.pruned(outputs)
    for node in list(graph):
        if node.name in source.variables:
            graph.replace(constant(node.name, source.variables[node.name].read(), node.attrs["dtype"]))
        elif node.op == "ReadVariableOp":
            graph.replace(Node(node.name, "Identity", node.inputs, {"T": node.attrs["dtype"]}))
    return run(graph, outputs, dict(zip(signature.inputs.values(), inputs, strict=True)))


@pytest.fixture(scope="session")
def computed() -> Callable[..., list[np.ndarray]]:
    """Runs the first signature of a source."""
    return _computed


def _convolutional_model():
    """A Keras 3 model, every weight away from its initial value."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((7, 8, 4), name="image"),
            layers.Conv2D(6, 3, groups=2, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(name="relu"),
            layers.Dropout(0.5, name="dropout"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(2, name="head"),
        ],
        name="net",
    )
    rng = np.random.default_rng(8)
    for variable in model.weights:
        if variable.dtype == "float32":
            low = 0.3 if variable.path.endswith("variance") else -1.5
            variable.assign(rng.uniform(low, 2.0, variable.shape))
    return model


@pytest.fixture(scope="session")
def keras_model() -> object:
    """A small Keras 3 model: grouped convolution, batch norm, dropout, dense; do not change its weights."""
    return _convolutional_model()


@pytest.fixture
def other_keras_model() -> object:
    """The same model anew, with weights of its own."""
    model = _convolutional_model()
    model.set_weights([np.full_like(value, 0.25) for value in model.get_weights()])
    return model


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return np.random.default_rng(9).normal(size=(3, 7, 8, 4)).astype(np.float32)

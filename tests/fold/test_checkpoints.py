"""Real training checkpoints: what is left of their batch norms, and that the folded graph computes the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from keras_networks import kept_names
from small_graphs import fold, ops

from bnfold.graph.stages import Folded, InferenceGraph, Kept
from bnfold.inference import infer
from bnfold.load import load

NOTHING_LEFT = {
    "mobilenet_v1-baked": 27,
    "mobilenet_v1-placeholder": 27,
    "mobilenet_v2-baked": 52,
    "shufflenet_v2-baked": 56,
    "IRCNN__dilated7": 5,
    "tensorflow2caffe__mnistcls": 2,
    "collision_detection__unfused": 2,
    "xception__learning_phase": 14,
    "keyword_spotting__DS_CNN_S/DS_CNN_S.pb": 9,
    "leaf_disease__no_batch_norm": 0,
}


def inference_graph(path: Path) -> InferenceGraph:
    return infer(load(path))


@pytest.mark.parametrize("name", NOTHING_LEFT)
def test_no_norm_of_a_checkpoint_is_left(name: str, shared_checkpoint: Callable[[str], Path]) -> None:
    folder, _, file = name.partition("/")
    folding = fold(inference_graph(shared_checkpoint(folder) / file), units=2**9)
    assert len(folding.fates) == NOTHING_LEFT[name]
    assert kept_names(folding.fates) == []
    assert not {op for op in ops(folding) if op.startswith("FusedBatchNorm")}
    assert folding.parameters_added == 0


def test_norms_of_dense_layers_fold_forward(shared_checkpoint: Callable[[str], Path]) -> None:
    """A ReLU comes before each norm, so nothing but the dense layer after it can take it."""
    inference = inference_graph(shared_checkpoint("collision_detection__unfused"))
    folding = fold(inference, units=2**9)
    graph = inference.graph
    for norm, fate in zip(inference.batch_norms, folding.fates, strict=True):
        assert isinstance(fate, Folded)
        assert set(fate.into) <= graph.descendants([norm.y])


def test_bias_of_a_dilated_convolution_is_in_it(shared_checkpoint: Callable[[str], Path]) -> None:
    """It comes after BatchToSpaceND; left there, it is an op of its own."""
    folding = fold(inference_graph(shared_checkpoint("IRCNN__dilated7")), units=2**9)
    assert len(folding.others) == 5
    graph = folding.inference.graph
    assert Counter(graph.producer_of(node.inputs[0]).op for node in graph if node.op == "BiasAdd") == {"Conv2D": 7}


@pytest.mark.parametrize(
    "name", ["channels_first", "decay/one", "decay/zero", "dense_norm", "phase_train", "separable_segmenter"]
)
def test_fates_of_a_sample_are_those_it_was_made_for(name: str, sample_model: Callable[[str], Path]) -> None:
    folder = sample_model(name)
    expected = json.loads((folder / "fates.json").read_text(encoding="utf-8"))
    folding = fold(inference_graph(folder), units=2**9)
    assert {fate.name for fate in folding.fates} == set(expected)
    for fate in folding.fates:
        if expected[fate.name]["fate"] == "folded":
            assert isinstance(fate, Folded)
            assert fate.into == (expected[fate.name]["into"],)
        else:
            assert isinstance(fate, Kept)

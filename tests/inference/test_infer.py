"""Real checkpoints and sample models: the inference graph gives what TensorFlow gave in inference mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnfold.errors import BnfoldError
from bnfold.graph.evaluate import run
from bnfold.graph.stages import InferenceGraph
from bnfold.inference import infer
from bnfold.load import load

RTOL = 1e-5
"""Of the largest expected value: the same float32 ops in another order, some fifty layers deep."""


def worst(inference: InferenceGraph, expected: np.lib.npyio.NpzFile) -> float:
    """max |got − expected| / max |expected|, on the input that is stored with the truth."""
    [output] = [e.tensor for e in inference.outputs if e.name == str(expected["output_name"])]
    feeds = [expected["input"]]
    if expected["input"].ndim == 2:
        feeds = [sample[None] for sample in expected["input"]]  # one of these graphs is written for batch 1
    outputs = [run(inference.graph, [output], {inference.inputs[0].tensor: feed})[0] for feed in feeds]
    got = np.concatenate(outputs)
    assert got.shape == expected["output"].shape
    return float(np.abs(got - expected["output"]).max() / np.abs(expected["output"]).max())


@pytest.mark.parametrize(
    ("name", "norms"),
    [
        ("mobilenet_v1-baked", 27),
        ("mobilenet_v2-baked", 52),
        ("shufflenet_v2-baked", 56),
        ("mobilenet_v1-placeholder", 27),
        ("IRCNN__dilated7", 5),
        ("tensorflow2caffe__mnistcls", 2),
        ("collision_detection__unfused", 2),
        ("leaf_disease__no_batch_norm", 0),
        ("xception__learning_phase", 14),
        ("keyword_spotting__DS_CNN_S", 9),
    ],
)
def test_real_checkpoint_gives_the_stored_truth(
    name: str, norms: int, shared_checkpoint: Callable[[str], Path]
) -> None:
    folder = shared_checkpoint(name)
    inference = infer(load(folder))
    assert len(inference.batch_norms) == norms
    assert worst(inference, np.load(folder / "expected.npz")) < RTOL


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet32__batch_moments", "31 batch norms .* no variable holds their moving averages"),
        ("DCGAN__no_statistics", "the moving statistics of generator/.* are not in the checkpoint"),
        ("pointnet__mismatch", "shapes disagree"),
    ],
)
def test_real_checkpoint_is_refused_when_its_statistics_are_nowhere(
    name: str, reason: str, shared_checkpoint: Callable[[str], Path]
) -> None:
    with pytest.raises(BnfoldError, match=reason) as caught:
        infer(load(shared_checkpoint(name)))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "norms", "kinds"),
    [
        ("separable_segmenter", 5, {"tiny-variance"}),
        ("dense_norm", 3, set()),
        ("phase_train", 2, {"training-flag"}),
        ("decay/zero", 1, set()),
        ("decay/one", 1, {"never-updated"}),
        ("channels_first", 2, set()),
    ],
)
def test_sample_gives_what_tensorflow_1_gave(
    name: str, norms: int, kinds: set[str], sample_model: Callable[[str], Path]
) -> None:
    folder = sample_model(name)
    inference = infer(load(folder))
    assert len(inference.batch_norms) == norms
    assert {note.kind for note in inference.notes} == kinds
    assert worst(inference, np.load(folder / "expected.npz")) < RTOL


def test_learning_phase_is_off_and_the_untouched_statistics_are_told(
    shared_checkpoint: Callable[[str], Path],
) -> None:
    inference = infer(load(shared_checkpoint("xception__learning_phase")))
    [note] = [note for note in inference.notes if note.kind == "never-updated"]
    assert len(note.nodes) == 14
    assert note.level == "warning"

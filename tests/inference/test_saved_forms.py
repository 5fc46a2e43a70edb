"""Each form of batch norm and flag that TensorFlow 1.15 writes, against the same network saved in inference mode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnfold.errors import InferenceError
from bnfold.graph.evaluate import run
from bnfold.graph.stages import InferenceGraph
from bnfold.inference import infer
from bnfold.load import load

Fixture = Callable[..., tuple[Path, dict[str, np.ndarray]]]

RTOL = 2e-6
"""Of the largest output: the same float32 ops, constants folded in another order."""

FORMS = {
    "arithmetic_by_hand": ("unfused", "batch moments", "update op bn/AssignAdd"),
    "axis_1_unfused": ("unfused", "batch moments", "update op"),
    "called_twice": ("FusedBatchNormV3", "is_training=True", "update op"),
    "contrib_batch_weights": ("unfused", "batch moments", "update op bn/AssignMovingAvg"),
    "contrib_unfused": ("unfused", "batch moments", "update op bn/AssignMovingAvg"),
    "contrib_unfused_placeholder": ("unfused", "placeholder is_training", "already wired"),
    "contrib_zero_debias": ("FusedBatchNormV3", "is_training=True", "update op bn/AssignMovingAvg"),
    "conv1d": ("unfused", "batch moments", "update op"),
    "conv3d": ("unfused", "batch moments", "update op"),
    "ema_baked": ("unfused", "batch moments", "update op bn/ExponentialMovingAverage/AssignMovingAvg"),
    "ema_in_cond": ("unfused", "placeholder phase_train", "already wired"),
    "ema_update_op": ("unfused", "placeholder phase_train", "already wired"),
    "flag_case": ("FusedBatchNormV3", "placeholder phase", "already wired"),
    "flag_control_flow_v2": ("FusedBatchNormV3", "placeholder is_training", "already wired"),
    "flag_default_false": ("FusedBatchNormV3", "placeholder with default is_training", "already wired"),
    "flag_default_true": ("FusedBatchNormV3", "placeholder with default is_training", "already wired"),
    "flag_int_equal": ("FusedBatchNormV3", "placeholder mode", "already wired"),
    "flag_logic": ("FusedBatchNormV3", "", "already wired"),
    "flag_placeholder": ("FusedBatchNormV3", "placeholder is_training", "already wired"),
    "flag_variable": ("FusedBatchNormV3", "variable is_training", "already wired"),
    "flag_where": ("unfused", "placeholder train", "already wired"),
    "flag_whole_net_twice": ("FusedBatchNormV3", "placeholder", "already wired"),
    "image_standardization": ("FusedBatchNormV3", "", ""),
    "instance_norm": ("FusedBatchNormV3", "", ""),
    "keras_layers": ("FusedBatchNormV3", "placeholder with default keras_learning_phase", "already wired"),
    "layer_norm_contrib": ("FusedBatchNormV3", "", ""),
    "layer_norm_fused": ("FusedBatchNormV3", "", ""),
    "layer_norm_last_axis": ("FusedBatchNormV3", "", ""),
    "layer_norm_lstm": ("", "", ""),
    "misleading_names": ("FusedBatchNormV3", "is_training=True", "update op"),
    "moments_by_hand": ("unfused", "batch moments", "update op bn/Assign"),
    "moments_in_cond": ("unfused", "placeholder is_train", "already wired"),
    "no_gamma_no_beta": ("unfused", "batch moments", "update op bn/AssignMovingAvg"),
    "old_ops": ("", "", "update op"),
    "old_variables": ("FusedBatchNormV3", "is_training=True", "update op"),
    "partitioned": ("FusedBatchNormV3", "is_training=True", "update op"),
    "renorm_contrib": ("unfused", "batch moments", "update op bn/AssignMovingAvg_2"),
    "renorm_layers": ("unfused", "placeholder is_training", "already wired"),
    "quantised_fused": ("", "", "already wired"),
    "quantised_unfused": ("unfused", "", "update op"),
    "renorm_resource": ("unfused", "batch moments", "update op"),
    "resource_variables": ("FusedBatchNormV3", "is_training=True", "update op"),
    "rsqrt_kin": ("FusedBatchNormV3", "", ""),
    "sufficient_statistics": ("unfused", "batch moments", "update op bn/AssignMovingAvg"),
    "two_towers": ("FusedBatchNormV3", "is_training=True", "update op"),
    "updates_in_place": ("FusedBatchNormV3", "", "already wired"),
    "virtual_batch": ("unfused", "batch moments", "update op bn/AssignMovingAvg"),
    "while_loop": ("FusedBatchNormV3", "is_training=True", "update op"),
}
"""Fixture → form, flag and evidence that the record of its batch norms has to hold."""


def error_of(inference: InferenceGraph, expected: dict[str, np.ndarray]) -> float:
    """max |got − expected| / max |expected|."""
    [output] = [e.tensor for e in inference.outputs if e.name == str(expected["output_name"])]
    [got] = run(inference.graph, [output], {inference.inputs[0].tensor: expected["input"]})
    assert got.shape == expected["output"].shape
    return float(np.abs(got - expected["output"]).max() / np.abs(expected["output"]).max())


@pytest.mark.parametrize("name", FORMS)
def test_form_gives_the_truth(name: str, fixture: Fixture) -> None:
    folder, expected = fixture(name)
    inference = infer(load(folder), outputs=[str(expected["output_name"])])
    assert error_of(inference, expected) < RTOL
    form, flag, evidence = FORMS[name]
    assert len(inference.batch_norms) == int(expected["batch_norms"])
    for norm in inference.batch_norms:
        assert form in norm.form
        assert flag in norm.flag
        assert any(evidence in reason for reason in norm.evidence)


def test_oldest_op_is_read_when_the_graph_is_frozen(fixture: Fixture) -> None:
    folder, expected = fixture("global_normalization")
    inference = infer(load(folder / "frozen.pb"))
    [norm] = inference.batch_norms
    assert norm.epsilon == pytest.approx(1e-3)
    assert error_of(inference, expected) < RTOL


def test_zero_debiased_mean_is_bound_when_its_accumulator_is_nearer(fixture: Fixture) -> None:
    inference = infer(load(fixture("contrib_zero_debias")[0]))
    [norm] = inference.batch_norms
    assert norm.variables["moving_mean"] == "bn/moving_mean"


def test_names_do_not_decide_when_the_dataflow_says_otherwise(fixture: Fixture) -> None:
    """The ops ``batch_normalization_2`` update and read the variables ``batch_normalization_1``."""
    inference = infer(load(fixture("misleading_names")[0]))
    misled = [n for n in inference.batch_norms if n.name.rpartition("/")[2] != n.variables["gamma"].split("/")[-2]]
    assert misled
    for norm in inference.batch_norms:
        scopes = {variable.rpartition("/")[0] for variable in norm.variables.values()}
        assert len(scopes) == 1


def test_other_bool_placeholder_stays_an_input_when_it_is_no_flag(fixture: Fixture) -> None:
    folder, expected = fixture("flag_of_something_else")
    inference = infer(load(folder))
    mirror = next(e for e in inference.inputs if e.name == "mirror:0")
    image = next(e for e in inference.inputs if e.name != "mirror:0")
    [got] = run(inference.graph, [inference.outputs[0].tensor], {image.tensor: expected["input"], mirror.tensor: True})
    np.testing.assert_allclose(got, expected["output"], rtol=0, atol=RTOL * np.abs(expected["output"]).max())


def test_bool_placeholder_stays_an_input_when_it_leaves_out_weights(fixture: Fixture) -> None:
    """Without the layer there would be no batch norm in training mode either; that makes it no training flag."""
    folder, expected = fixture("flag_of_a_part")
    inference = infer(load(folder))
    [norm] = inference.batch_norms
    assert norm.flag == "is_training=True"
    feeds = {e.tensor: expected["input"] if e.name == "image:0" else True for e in inference.inputs}
    assert sorted(e.name for e in inference.inputs) == ["image:0", "use_refinement:0"]
    [got] = run(inference.graph, [inference.outputs[0].tensor], feeds)
    np.testing.assert_allclose(got, expected["output"], rtol=0, atol=RTOL * np.abs(expected["output"]).max())


@pytest.mark.parametrize("name", ["quantised_fused", "quantised_unfused"])
def test_only_output_is_the_quantised_one_when_batch_norms_were_folded_for_training(
    name: str, fixture: Fixture
) -> None:
    folder, expected = fixture(name)
    assert [e.name for e in infer(load(folder)).outputs] == [str(expected["output_name"])]


@pytest.mark.parametrize("name", ["variance_nan", "variance_negative"])
def test_statistics_are_refused_when_no_batch_can_have_them(name: str, fixture: Fixture) -> None:
    folder = Path(__file__).parent.parent / "fixtures" / name
    with pytest.raises(InferenceError, match="batch norm bn: its moving variance") as caught:
        infer(load(folder))
    assert caught.value.hint


def test_batch_moments_are_refused_when_nothing_averages_them() -> None:
    folder = Path(__file__).parent.parent / "fixtures" / "batch_moments_always"
    with pytest.raises(InferenceError, match="1 batch norm normalises by the moments of the batch") as caught:
        infer(load(folder))
    assert "--bind" in (caught.value.hint or "")


def test_statistics_are_refused_when_the_checkpoint_lacks_them(fixture: Fixture) -> None:
    folder, _ = fixture("trainable_only", "expected_initial.npz")
    with pytest.raises(InferenceError, match="not in the checkpoint") as caught:
        infer(load(folder))
    assert "--missing-statistics initial" in (caught.value.hint or "")


def test_statistics_are_initial_when_the_user_asks_for_it(fixture: Fixture) -> None:
    folder, expected = fixture("trainable_only", "expected_initial.npz")
    inference = infer(load(folder), missing_statistics="initial")
    assert error_of(inference, expected) < RTOL
    assert "initial-statistics" in {note.kind for note in inference.notes}


@pytest.mark.parametrize(
    ("name", "kinds", "word"),
    [
        ("never_updated_inference", ["never-updated"], "what was trained is what is exported"),
        ("never_updated_update_ops", ["never-updated"], "update ops were never run"),
        ("untrained", ["untrained", "never-updated"], "step 0"),
        ("variance_tiny", ["tiny-variance", "dead-channels"], "bn (3 channels)"),
    ],
)
def test_statistics_are_noted_when_they_look_wrong(name: str, kinds: list[str], word: str, fixture: Fixture) -> None:
    folder, expected = fixture(name)
    inference = infer(load(folder))
    assert [note.kind for note in inference.notes if note.kind != "training-flag"] == kinds
    assert any(word in note.message for note in inference.notes)
    assert error_of(inference, expected) < RTOL


def test_output_is_refused_when_training_alone_computes_it() -> None:
    folder = Path(__file__).parent.parent / "fixtures" / "moments_in_cond"
    with pytest.raises(InferenceError, match="bn/cond/moments/mean:0: computed in training alone") as caught:
        infer(load(folder), outputs=["bn/cond/moments/mean"])
    assert "--output" in (caught.value.hint or "")

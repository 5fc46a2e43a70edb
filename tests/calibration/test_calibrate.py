"""Calibration end to end: statistics that were never kept are computed, written, found again, and they normalise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnfold.calibration import calibrate_statistics, needs_calibration, with_statistics, write_checkpoint
from bnfold.diagnosis import calibrate
from bnfold.errors import ExportError, LoadError, UnboundError, VerificationError
from bnfold.graph import node_name
from bnfold.graph.evaluate import Session, run
from bnfold.graph.stages import InferenceGraph, SourceModel
from bnfold.inference import infer
from bnfold.load import load

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


def _calibrated(source: Path, data: Any, target: Path) -> tuple[SourceModel, InferenceGraph, Any]:
    """Calibrate the checkpoint in ``source`` as the command does; the result is read back from ``target``."""
    loaded, added = load(source), ()
    try:
        reference = infer(loaded)
    except UnboundError as error:
        loaded, added = with_statistics(loaded, error.layers)
        reference = infer(loaded)
    names = [norm.name for norm in reference.batch_norms if needs_calibration(norm)]
    calibration = calibrate_statistics(reference, names, data)
    prefix = source / loaded.label
    write_checkpoint(prefix, target / loaded.label, calibration.statistics, loaded.variables, added=added)
    again = load(target)
    return again, infer(again), calibration


def _moments_at(reference: InferenceGraph, norm: Any, data: Any) -> tuple[Any, Any]:
    """Mean and variance of what a batch norm gives, before gamma and beta."""
    (y,) = run(reference.graph, [norm.y], {reference.inputs[0].tensor: data})
    gamma = 1.0 if norm.gamma is None else norm.gamma
    beta = 0.0 if norm.beta is None else norm.beta
    normal = (y.astype(np.float64) - beta) / gamma
    axes = tuple(range(normal.ndim - 1))
    return normal.mean(axes), normal.var(axes)


def test_layer_normalises_after_calibration_when_decay_was_1(
    sample_model: Callable[[str], Path], tmp_path: Path
) -> None:
    source = sample_model("decay/one")
    data = np.random.default_rng(7).normal(0.4, 2.0, (40, 10, 12, 3)).astype(np.float32)
    before = infer(load(source))
    _, variance = _moments_at(before, before.batch_norms[0], data)
    assert abs(variance - 1).max() > 0.1  # it does not normalise
    again, reference, calibration = _calibrated(source, data, tmp_path)
    (norm,) = reference.batch_norms
    mean, variance = _moments_at(reference, norm, data)
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    spread = norm.moving_variance.astype(np.float64)
    np.testing.assert_allclose(variance, spread / (spread + norm.epsilon), rtol=1e-5)
    assert not [note for note in reference.notes if note.kind == "never-updated"]
    assert again.step == load(source).step
    assert calibration.samples == 40
    kept = [name for name in again.variables if name not in norm.variables.values()]
    assert kept
    for name in kept:  # the weights and the optimizer's slots are as they were
        np.testing.assert_array_equal(again.variables[name].read(), load(source).variables[name].read())


@pytest.mark.parametrize("checkpoint", ["resnet32__batch_moments"])
def test_inference_is_what_training_mode_gave_when_the_batch_is_the_data(
    shared_checkpoint: Callable[[str], Path], tmp_path: Path, checkpoint: str
) -> None:
    """Statistics over one batch are that batch's own: both modes then give the same, through all 31 layers."""
    source = shared_checkpoint(checkpoint)
    loaded = load(source)
    with pytest.raises(UnboundError) as refused:
        infer(loaded)
    data = np.random.default_rng(3).normal(0, 1, (8, 32, 32, 3)).astype(np.float32)
    _, reference, calibration = _calibrated(source, data, tmp_path)
    assert len(calibration.statistics) == len(refused.value.layers) == len(reference.batch_norms) == 31
    assert calibration.passes == 31  # each layer stands on the one before
    (found,) = run(reference.graph, [reference.outputs[0].tensor], {reference.inputs[0].tensor: data})
    training = _in_training_mode(loaded, reference, data)
    # 31 layers of float32 on one side, moments in float64 on the other
    np.testing.assert_allclose(found, training, atol=2e-4 * np.abs(training).max())


def _in_training_mode(source: SourceModel, reference: InferenceGraph, data: Any) -> Any:
    """What the graph as saved gives, its variables fed."""
    output = reference.outputs[0].name
    graph = source.graph.pruned([output])
    graph.replace(graph[node_name(reference.inputs[0].name)].with_attrs(shape=(None, *data.shape[1:])))
    weights = {f"{node.name}:0": source.variables[node.name].read() for node in graph if node.op == "VariableV2"}
    feeds = {reference.inputs[0].name: data, **weights}
    with Session(graph) as session:
        return session.run([output], feeds)[0]


def test_fixture_with_batch_moments_converts_after_calibration(tmp_path: Path) -> None:
    source = FIXTURES / "batch_moments_always"
    with pytest.raises(UnboundError):
        infer(load(source))
    shape = next(
        n.attrs["shape"] for n in load(source).graph if n.op == "Placeholder" and len(n.attrs["shape"] or ()) > 1
    )
    data = np.random.default_rng(1).normal(1.5, 3.0, (32, *shape[1:])).astype(np.float32)
    _, reference, _ = _calibrated(source, data, tmp_path)
    for norm in reference.batch_norms:
        mean, _ = _moments_at(reference, norm, data)
        np.testing.assert_allclose(mean, 0, atol=1e-4)
        assert any("update op" in text for text in norm.evidence)


def test_calibration_is_refused_when_it_would_overwrite_its_source(
    sample_model: Callable[[str], Path],
) -> None:
    source = sample_model("decay/one")
    loaded = load(source)
    prefix = source / loaded.label
    with pytest.raises(LoadError, match="is the checkpoint that is read"):
        write_checkpoint(prefix, prefix, [], loaded.variables)


def test_calibration_is_refused_when_the_data_is_empty_or_not_finite(sample_model: Callable[[str], Path]) -> None:
    reference = infer(load(sample_model("decay/one")))
    names = [norm.name for norm in reference.batch_norms]
    data = np.zeros((2, 10, 12, 3), np.float32)
    with pytest.raises(VerificationError, match="no whole batch"):
        calibrate_statistics(reference, names, data[:0])
    data[0, 0, 0, 0] = np.nan
    with pytest.raises(VerificationError, match="not finite on this data"):
        calibrate_statistics(reference, names, data)


def test_calibration_is_refused_before_the_work_when_its_target_cannot_be_written(
    sample_model: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")

    def data() -> Any:
        raise AssertionError("the data is read although nothing can be written")
        yield

    with pytest.raises(ExportError, match="is no directory"):
        calibrate(sample_model("decay/one"), tmp_path / "file" / "below" / "model", data=data())

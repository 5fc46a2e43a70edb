"""When a fold is wrong the conversion is refused and says which: faults planted in the real fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnfold
from bnfold import calls
from bnfold.errors import OutputsDifferError
from bnfold.graph import Array
from bnfold.graph.stages import Folded, Folding

Find = Callable[[str], Path]


def _plant(monkeypatch: pytest.MonkeyPatch, layer: str, damage: Callable[[Array], Array], op: str) -> None:
    """Make folding ``layer`` damage the constants that its convolution's next ``op`` reads."""
    fold = calls.fold

    def faulty(*arguments: Any) -> Folding:
        folding = fold(*arguments)
        fate = next(fate for fate in folding.fates if fate.name == layer)
        if not isinstance(fate, Folded):
            return folding
        graph = folding.inference.graph.copy()
        (linear,) = (graph[name] for name in fate.into)
        target = linear if op == "kernel" else graph.readers(linear.output)[0]
        constant = graph.producer_of(target.inputs[1])
        graph.replace(constant.with_attrs(value=damage(constant.attrs["value"])))
        return replace(folding, inference=replace(folding.inference, graph=graph))

    monkeypatch.setattr(calls, "fold", faulty)


FAULTS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "wrong channel axis": ("bias", lambda bias: np.roll(bias, 1)),
    "unscaled": ("kernel", lambda kernel: kernel * np.float32(1.3)),
    "one weight off by 0.001": ("kernel", lambda kernel: kernel + np.float32(1e-3) * _largest(kernel)),
}


def _largest(kernel: Array) -> Array:
    """``kernel`` with all but its largest weight 0."""
    kept: Array = np.where(np.abs(kernel) == np.abs(kernel).max(), kernel, 0).astype(kernel.dtype)
    return kept


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("layer", ["input/conv1/conv1_2/BatchNorm", "input/conv3/conv3_1/BatchNorm"])
def test_fold_is_named_when_it_is_wrong(
    fault: str, layer: str, sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op, damage = FAULTS[fault]
    _plant(monkeypatch, layer, damage, op)
    target = tmp_path / "net.onnx"
    with pytest.raises(OutputsDifferError) as caught:
        bnfold.convert(sample_model("separable_segmenter"), target, samples=2, layers=True)
    check = caught.value.report.check
    assert check.suspect == f"the fold of {layer} is at fault"
    assert layer in check.layers.batch_norms
    assert not target.exists()


def test_no_fold_is_named_when_the_export_is_wrong(sample_model: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    export = calls.export

    def faulty(*arguments: Any) -> Any:
        artifact = export(*arguments)
        relu = next(node for node in artifact.model.graph.node if node.op_type == "Relu")
        relu.op_type = "Identity"
        return artifact

    monkeypatch.setattr(calls, "export", faulty)
    conversion = bnfold.convert(sample_model("separable_segmenter"), samples=2, layers=True)
    check = conversion.report.check
    assert check is not None
    assert check.layers is not None
    assert conversion.report.equal is False
    assert "not in a fold" in check.suspect
    assert len(check.layers.between) == 1
    assert "(Relu)" in check.layers.between[0]

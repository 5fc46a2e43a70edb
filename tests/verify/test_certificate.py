"""The certificate: it holds for what was certified, and for nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from bnfold.graph.stages import Folded, Kept
from bnfold.verify import certificate, mismatches, model_fingerprint, verify

FATES = (Folded("conv1/BatchNorm", ("conv1/Conv2D",), "conv"), Kept("other", "it is an output"))


def test_certificate_holds_when_nothing_has_changed(nets: Any) -> None:
    model = nets.two_norms_onnx()
    report = verify(nets.two_norms(), model, seed=9)
    written = certificate(report, source="ab12", model=model_fingerprint(model), fates=FATES)
    read = json.loads(json.dumps(written))
    assert read == written
    assert read["seed"] == 9
    assert read["batch_norms"][1] == {"name": "other", "fate": "kept", "reason": "it is an output"}
    assert read["tolerance"]["formula"].startswith("max|onnx − tf| ≤")
    again = verify(nets.two_norms(), model, samples=8, seed=read["seed"])
    assert mismatches(read, source="ab12", model=model_fingerprint(model), report=again) == []


def test_certificate_fails_when_model_source_or_outputs_are_others(nets: Any) -> None:
    model = nets.two_norms_onnx()
    report = verify(nets.two_norms(), model)
    written = certificate(report, source="ab12", model=model_fingerprint(model))
    other = nets.two_norms_onnx(relu="Identity")
    differs = verify(nets.two_norms(), other)
    found = mismatches(written, source="cd34", model=model_fingerprint(other), report=differs)
    assert [text.split()[1] for text in found] == ["source", "model", "outputs"]
    wrong = certificate(differs, source="ab12", model=model_fingerprint(other))
    assert mismatches(wrong, source="ab12", model=model_fingerprint(other)) == ["it certifies that the outputs differ"]
    assert mismatches({}, source="", model="") == ["the certificate is of format None, not 1"]


def test_fingerprint_ignores_metadata_and_sees_every_weight(nets: Any, tmp_path: Path) -> None:
    model = nets.two_norms_onnx()
    first = model_fingerprint(model)
    model.metadata_props.add(key="bnfold.certificate", value="{}")
    assert model_fingerprint(model) == first
    path = tmp_path / "net.onnx"
    onnx.save(model, path, save_as_external_data=True, location="net.weights", size_threshold=0)
    outside = model_fingerprint(path)
    weights = bytearray((tmp_path / "net.weights").read_bytes())
    weights[100] ^= 1
    (tmp_path / "net.weights").write_bytes(weights)
    assert model_fingerprint(path) != outside

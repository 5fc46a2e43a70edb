"""Recurrent networks as TensorFlow 1.15 froze them, against what TensorFlow 1.15 itself computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from harness import check_file

from bnfold.export import export
from bnfold.inference import infer
from bnfold.load import load

FOLDER = Path(__file__).parents[1] / "fixtures" / "recurrent"


@pytest.mark.parametrize("name", ["lstm", "lstm_whole", "layers", "both_ways", "loop_in_loop"])
def test_recurrent_network_is_the_same(name):
    truth = np.load(FOLDER / f"{name}.npz")
    model = export(infer(load(FOLDER / f"{name}.pb"), outputs=["y"]))
    check_file(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {entry.name: truth[entry.name.removesuffix(":0")] for entry in session.get_inputs()}
    (output,) = session.run(None, feeds)
    np.testing.assert_allclose(output, truth["y"], rtol=1e-5, atol=1e-6)
    assert [node.op_type for node in model.graph.node].count("Loop") == (2 if name == "both_ways" else 1)

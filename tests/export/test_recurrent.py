"""Recurrent networks as TensorFlow 1.15 froze them, against what TensorFlow 1.15 itself computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from harness import check_file, op_types

from bnfold.export import export
from bnfold.inference import infer
from bnfold.load import load

FOLDER = Path(__file__).parents[1] / "fixtures" / "recurrent"

RECURRENT = ("LSTM", "GRU", "RNN", "Loop")


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("lstm", ["Loop"]),  # it projects its output, which ONNX' LSTM does not
        ("clipped", ["Loop"]),  # ONNX clips what goes into the gates, TensorFlow the memory
        ("keras_masked", ["Loop"]),  # the mask may have holes
        ("one_state", ["Loop"]),  # both states are one tensor
        ("step_by_step", ["Loop"]),  # its input is decided as it goes
        ("lstm_whole", ["LSTM"]),
        ("layers", ["LSTM", "GRU"]),
        ("both_ways", ["GRU"]),
        ("from_states", ["GRU", "LSTM", "RNN"]),
        ("time_first", ["LSTM"]),
        ("residual", ["LSTM", "GRU", "RNN"]),
        ("keras_lstm", ["LSTM"]),
        ("keras_gru", ["GRU"]),
        ("keras_2_lstm", ["LSTM"]),
        ("keras_2_gru", ["GRU"]),
        ("loop_in_loop", ["Loop"]),
    ],
)
def test_recurrent_network_is_the_same(name, nodes):
    truth = np.load(FOLDER / f"{name}.npz")
    model = export(infer(load(FOLDER / f"{name}.pb"), outputs=["y"]))
    check_file(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {entry.name: truth[entry.name.removesuffix(":0")] for entry in session.get_inputs()}
    (output,) = session.run(None, feeds)
    np.testing.assert_allclose(output, truth["y"], rtol=1e-5, atol=1e-6)
    assert [op for op in op_types(model) if op in RECURRENT] == nodes
    assert "ReverseSequence" not in op_types(model)  # what runs backwards needs none

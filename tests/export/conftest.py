"""Lets the tests of the export stage import their harness by name; what they share."""

import sys
from pathlib import Path

import pytest

from bnfold.graph.tensorflow import tensorflow

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["functions", "frames"])
def control_flow(request):
    """Each test runs with TensorFlow 2's If and While, and with TensorFlow 1's Switch, Merge, Enter and Exit."""
    if request.param == "frames":
        tensorflow().compat.v1.disable_control_flow_v2()
    yield request.param
    tensorflow().compat.v1.enable_control_flow_v2()

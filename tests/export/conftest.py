"""Lets the tests of the export stage import their harness by name; what they share."""

import sys
from pathlib import Path

import onnxruntime
import pytest

from bnfold.graph.tensorflow import tensorflow

sys.path.insert(0, str(Path(__file__).parent))

from harness import OLD_RUNTIME


@pytest.fixture(params=["functions", "frames"])
def control_flow(request):
    """Each test runs with TensorFlow 2's If and While, and with TensorFlow 1's Switch, Merge, Enter and Exit."""
    if request.param == "frames":
        tensorflow().compat.v1.disable_control_flow_v2()
    yield request.param
    tensorflow().compat.v1.enable_control_flow_v2()


FAULTS_OF_OLD_RUNTIMES = {
    "test_sequences_are_reversed_along_any_axes": "its ReverseSequence leaves zeros",
    "test_complex_sequences_are_reversed_along_any_axes": "its ReverseSequence leaves zeros",
    "test_extreme_is_the_least_number_of_its_dtype_when_there_is_none": "its Max and Min of nothing are other numbers",
    "test_error_function_is_the_same": "its Erf of NaN is -1",
    "test_matmul_is_the_same_when_transposed": "its optimiser makes a FusedMatMul of doubles, without a kernel",
    "test_products_of_stacks_are_the_same": "its optimiser makes a FusedMatMul of doubles, without a kernel",
    "test_entries_of_an_unknown_rank_are_turned_and_reversed": "its ReverseSequence leaves zeros",
    "test_transform_of_one_axis_is_the_same_when_the_rank_is_not_known": "its DFT of a vector repeats it",
}
"""What onnxruntime 1.23 does wrong; 1.31 does it right."""


def pytest_collection_modifyitems(items):
    if OLD_RUNTIME:
        for item in items:
            reason = FAULTS_OF_OLD_RUNTIMES.get(item.name) or FAULTS_OF_OLD_RUNTIMES.get(item.name.partition("[")[0])
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=f"onnxruntime {onnxruntime.__version__}: {reason}"))

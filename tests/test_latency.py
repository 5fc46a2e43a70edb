"""The times on the page of a conversion, whatever the file was asked to be like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import bnfold
from bnfold.latency import measure_latency

Find = Callable[[str], Path]


@pytest.mark.parametrize(
    "options",
    [{}, {"layout": "nchw"}, {"rename": {"input/image": "x", "input/logits/BiasAdd": "y"}}, {"half": True}],
    ids=str,
)
def test_both_models_are_timed_when_the_file_has_other_names_or_layouts(
    sample_model: Find, options: dict[str, Any]
) -> None:
    conversion = bnfold.convert(sample_model("separable_segmenter"), samples=1, **options)
    latency = measure_latency(conversion)
    assert latency is not None
    assert latency.before > 0
    assert latency.after > 0
    assert latency.nodes_after < latency.nodes_before


def test_text_is_fed_as_a_number_when_the_graph_reads_one() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def doubled(x: Any) -> Any:
        return tf.strings.to_number(x) * 2.0

    latency = measure_latency(bnfold.convert(doubled, samples=2))
    assert latency is not None
    assert latency.shapes == {"x:0": [1]}

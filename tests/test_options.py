from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.stages import Endpoint
from bnfold.options import SourceOptions


def test_options_are_empty_json_when_at_their_defaults() -> None:
    assert SourceOptions().as_json() == {}


def test_options_are_equal_after_a_round_trip_through_json() -> None:
    options = SourceOptions(
        inputs={"images:0": ("batch", 224, None, 3), "scale": None},
        outputs=["logits"],
        set_values={"keep_prob": 1.0, "is_train": False},
        bind={"conv1/bn": ("mean_3", "variance_3")},
        missing_statistics="initial",
        weights="ema",
        rename_variables={"model/": ""},
        tags="serve",
        signature="predict",
    )
    assert SourceOptions.from_json(json.loads(json.dumps(options.as_json()))) == options


def test_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="ouputs"):
        SourceOptions(ouputs=["logits"])  # type: ignore[call-arg]


def test_unknown_key_in_json_is_passed_over() -> None:
    assert SourceOptions.from_json({"a later option": 1, "weights": "ema"}) == SourceOptions(weights="ema")


def test_words_in_a_shape_are_names_of_sizes_that_any_number_may_have() -> None:
    options = SourceOptions(inputs={"images": ("batch", 224, None, 3), "labels": None})
    assert options.shapes() == {"images": (None, 224, None, 3), "labels": None}
    endpoint = Endpoint("images:0", "images:0", FLOAT32, (None, 224, None, 3))
    assert options.named(endpoint).dims == ("batch", None, None, None)
    assert options.named(replace(endpoint, name="labels:0")).dims == ()

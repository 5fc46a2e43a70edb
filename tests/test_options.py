from __future__ import annotations

import json

import pytest

from bnfold.options import SourceOptions


def test_options_are_empty_json_when_at_their_defaults() -> None:
    assert SourceOptions().as_json() == {}


def test_options_are_equal_after_a_round_trip_through_json() -> None:
    options = SourceOptions(
        inputs={"images:0": (None, 224, 224, 3), "scale": None},
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

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.stages import Endpoint
from bnfold.options import CheckOptions, ExportOptions, SourceOptions


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


def test_numbers_of_numpy_are_numbers() -> None:
    options = SourceOptions(inputs={"x": (np.int64(2), None, "N")}, set_values={"keep_prob": np.float32(0.5)})  # type: ignore[dict-item]
    assert options.shapes() == {"x": (2, None, None)}
    found = json.loads(json.dumps(options.as_json()))
    assert found == {"inputs": {"x": [2, None, "N"]}, "set_values": {"keep_prob": 0.5}}


@pytest.mark.parametrize("given", [{"outputs": "logits"}, {"inputs": ["images"]}])
def test_option_is_a_type_error_when_a_word_stands_for_a_list_or_a_list_for_a_mapping(given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"logits|images"):
        SourceOptions(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"weights": "average"}, {"missing_statistics": None}], ids=str)
def test_option_is_a_value_error_when_it_is_none_of_its_words(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is none of"):
        SourceOptions(**given)  # type: ignore[arg-type]


HOSTILE = [
    {"inputs": ["x"]},
    {"inputs": {"x": "1,2"}},
    {"inputs": {"x": [[1]]}},
    {"outputs": 5},
    {"outputs": [["y"]]},
    {"set_values": {"x": {}}},
    {"bind": {"bn": ["mean"]}},
    {"bind": "bn"},
    {"missing_statistics": "guess"},
    {"weights": None},
    {"rename_variables": {"a": 1}},
    {"tags": 1},
    {"signature": []},
]


@pytest.mark.parametrize("values", HOSTILE, ids=str)
def test_json_is_a_value_error_when_it_is_none_that_options_give(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        SourceOptions.from_json(values)


@pytest.mark.parametrize("values", [{"rename": ["a"]}, {"rename": {"a": [1]}}, {"half": "yes"}, {}], ids=str)
def test_export_options_are_the_defaults_when_their_json_is_none(values: dict[str, object]) -> None:
    assert ExportOptions.from_json(values) == ExportOptions()


@pytest.mark.parametrize(
    "given", [{"rtol": -1.0}, {"rtol": float("nan")}, {"atol": float("inf")}, {"exact": True, "rtol": 0.0}], ids=str
)
def test_comparison_is_a_value_error_when_its_tolerance_bounds_nothing(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"no bound|would change nothing"):
        CheckOptions(**given)  # type: ignore[arg-type]

"""Which tensor of a file stands for which of the reference."""

from __future__ import annotations

import pytest

from bnfold.graph import DType, Shape
from bnfold.graph.stages import Endpoint
from bnfold.verify.candidate import Value
from bnfold.verify.matching import match, permutation

FLOAT, INT = DType.named("float32"), DType.named("int64")


def _end(name: str, shape: Shape | None = (None, 4), dtype: DType = FLOAT, tensor: str = "") -> Endpoint:
    return Endpoint(name, tensor or name, dtype, shape)


def _value(name: str, shape: Shape | None = (None, 4), dtype: DType = FLOAT) -> Value:
    return Value(name, dtype, shape)


def test_tensors_are_matched_by_name_first() -> None:
    ends = [_end("a:0"), _end("b:1", tensor="b_1:0"), _end("c:0")]
    found, problems = match(ends, [_value("c"), _value("b_1:0"), _value("a:0")], role="output")
    assert problems == []
    assert {name: (m.onnx_name, m.how) for name, m in found.items()} == {
        "a:0": ("a:0", "same name"),
        "b:1": ("b_1:0", "same name"),
        "c:0": ("c", "name without :0"),
    }


def test_renamed_tensors_are_matched_when_the_names_are_given() -> None:
    found, _ = match([_end("a:0"), _end("b:0")], [_value("x"), _value("y")], role="input", names={"a": "y", "b:0": "x"})
    assert (found["a:0"].onnx_name, found["b:0"].onnx_name) == ("y", "x")
    assert found["a:0"].how == "renamed"


def test_tensors_are_matched_by_shape_then_position() -> None:
    ends = [_end("image:0", (None, 8, 9, 3)), _end("ids:0", (None, 5), INT)]
    found, problems = match(ends, [_value("p", (None, 5), INT), _value("q", (None, 3, 8, 9))], role="input")
    assert problems == []
    assert (found["image:0"].onnx_name, found["image:0"].permutation) == ("q", (0, 3, 1, 2))
    assert found["ids:0"].how == "the only one of its shape" or found["ids:0"].how == "the only input left"
    same = [_end("a:0"), _end("b:0")]
    found, _ = match(same, [_value("p"), _value("q")], role="input")
    assert [(m.onnx_name, m.how) for m in found.values()] == [("p", "by position"), ("q", "by position")]


def test_what_has_no_counterpart_is_a_problem() -> None:
    _, problems = match([_end("a:0"), _end("b:0", (7,))], [_value("a")], role="output")
    assert problems == ["the file has no output for b:0 (it has a)"]
    _, problems = match([_end("a:0")], [_value("a"), _value("is_training", ())], role="input")
    assert problems == ["the file has inputs that TensorFlow's graph does not: is_training"]


@pytest.mark.parametrize(
    ("expected", "found", "order"),
    [
        ((None, 8, 9, 3), (None, 8, 9, 3), None),
        ((None, 8, 9, 3), (None, 3, 8, 9), (0, 3, 1, 2)),
        ((None, 3, 8, 9), (None, 8, 9, 3), (0, 2, 3, 1)),
        ((None, None, None, 3), (None, 3, None, None), (0, 3, 1, 2)),
        ((None, None, None, 3), (None, None, None, None), None),
        ((None, 3, 3, 3), (None, 3, 3, 3), None),
        ((2, 4, 5, 6, 7), (2, 7, 4, 5, 6), (0, 4, 1, 2, 3)),
        ((None, 8, 9, 3), (None, 9, 8, 3), None),  # no layout that anybody uses
        ((None, 4), (4, None), None),
        (None, (1, 2, 3), None),
    ],
)
def test_layouts_are_told_apart(expected: Shape | None, found: Shape, order: tuple[int, ...] | None) -> None:
    assert permutation(expected, found) == order

"""The page of ops is what the table says, and the table is of TensorFlow's ops."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnfold.export.reference import dtype_words, page
from bnfold.export.table import ALL, FLOATS, INTEGERS, NUMBERS, OLDEST_OPSET, lowers, rows
from bnfold.graph import DType
from bnfold.graph.graph_def import op_definition

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ops.md"


def test_page_is_current():
    assert PAGE.read_text() == page(), "run python -m bnfold.export.reference > docs/ops.md"


def test_rows_are_of_tensorflows_ops():
    unknown = [row.op for row in rows() if row.origin is None and op_definition(row.op) is None]
    assert unknown == []


def test_dtypes_of_rows_exist():
    for row in rows():
        for dtype in row.dtypes:
            assert DType.named(dtype).name == dtype
        assert row.opset >= OLDEST_OPSET


@pytest.mark.parametrize(
    ("dtypes", "words"),
    [
        (ALL, "all but complex"),
        (NUMBERS, "numbers"),
        (FLOATS, "floats"),
        ((*INTEGERS, "bool"), "integers, bool"),
        (("float32",), "float32"),
    ],
)
def test_dtypes_are_told_in_few_words(dtypes, words):
    assert dtype_words(dtypes) == words


def test_second_lowering_of_an_op_is_refused():
    rows()
    with pytest.raises(ValueError, match="Relu has two lowerings"):
        lowers("Relu")(lambda call: call.input(0))

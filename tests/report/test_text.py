"""The lines of the command line that say where things are."""

from __future__ import annotations

import numpy as np
import pytest

from bnfold.graph.stages import BatchNorm, Endpoint
from bnfold.report.text import INSPECTION_COLUMNS, inspection_rows
from bnfold.results import Inspection, SourceSummary


def _inspection(variables: dict[str, str], axis: int | None) -> Inspection:
    ones = np.ones(7, np.float32)
    nodes = ("y",)
    norm = BatchNorm(
        "bn", "unfused", "inference", "x:0", "y:0", nodes, axis, None, None, ones, ones, 1e-3, variables, ()
    )
    ends: tuple[Endpoint, ...] = ()
    return Inspection(SourceSummary(None, "checkpoint", "net", 1, 2, 14, None, ""), ends, ends, (norm,), (), (), {})


@pytest.mark.parametrize(
    ("variables", "axis", "channels", "kept_in"),
    [
        ({"moving_mean": "a/bn/mm", "moving_variance": "a/bn/mv"}, 3, "7 on axis 3", "a/bn/{mm,mv}"),
        ({"moving_mean": "mean", "moving_variance": "variance"}, 1, "7 on axis 1", "mean and variance"),
        ({"moving_mean": "a/m", "moving_variance": "b/v"}, None, "7", "a/m and b/v"),
        ({"moving_mean": "a/m/0, a/m/1", "moving_variance": "a/v"}, 3, "7 on axis 3", "a/m/0, a/m/1 and a/v"),
        ({"gamma": "a/gamma"}, 3, "7 on axis 3", "constants"),
    ],
)
def test_row_tells_the_axis_and_the_variables(
    variables: dict[str, str], axis: int | None, channels: str, kept_in: str
) -> None:
    [row] = inspection_rows(_inspection(variables, axis))
    told = dict(zip(INSPECTION_COLUMNS, row, strict=True))
    assert told["channels"] == channels
    assert told["kept in"] == kept_in

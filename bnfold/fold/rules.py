"""The table: which ops absorb a map, and which let one through. docs/folding.md is checked against it.

A new row is one entry in `linear`, `through_shapes`, `through_values` or `through_branches`; the engine and its tests
find it here.
"""

from __future__ import annotations

from bnfold.fold.linear import LINEAR
from bnfold.fold.row import Linear, Through
from bnfold.fold.through_branches import BRANCHES
from bnfold.fold.through_shapes import SHAPES
from bnfold.fold.through_values import VALUES

TABLE: tuple[Linear | Through, ...] = (*LINEAR, *SHAPES, *VALUES, *BRANCHES)

LINEAR_OPS = {op: row for row in LINEAR for op in row.ops}
THROUGH_OPS = {op: row for row in (*SHAPES, *VALUES, *BRANCHES) for op in row.ops}

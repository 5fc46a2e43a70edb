"""Rows of the table: ops where branches meet or part, and what each branch has to take."""

from __future__ import annotations

import numpy as np

from bnfold.fold.algebra import Affine, affine, identity, joined
from bnfold.fold.row import Maps, Op, Passage, Refused, Through
from bnfold.fold.through_shapes import UNSHAPED, must_rise

# Concat and split


def _concat(op: Op) -> tuple[range, int, list[int | None]] | Refused:
    """Positions of the data inputs, the axis, and the size of each along it."""
    last = len(op.node.inputs) - 1
    positions = range(1, last + 1) if op.node.op == "Concat" else range(last)
    axes, shapes = op.integers(0 if op.node.op == "Concat" else last), [op.shape(i) for i in positions]
    if axes is None or any(shape is None for shape in shapes):
        return op.refuse(UNSHAPED)
    known = [shape for shape in shapes if shape is not None]
    axis = axes[0] % len(known[0])
    return positions, axis, [shape[axis] for shape in known]


def _concat_back(op: Op, maps: Maps) -> list[Passage] | Refused:
    found, map_ = _concat(op), maps[0]
    if isinstance(found, Refused):
        return found
    assert map_ is not None
    positions, axis, sizes = found
    parts = [map_] * len(sizes)
    if axis in map_.varying:
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return op.refuse(UNSHAPED)
        parts = map_.split(axis, known)
    inputs: list[Affine | None] = [None] * len(op.node.inputs)
    for position, part in zip(positions, parts, strict=True):
        inputs[position] = part
    return [Passage(inputs)]


def _concat_forth(op: Op, maps: Maps) -> Passage | Refused:
    found = _concat(op)
    if isinstance(found, Refused):
        return found
    positions, axis, sizes = found
    rank = len(op.shape(positions[0]) or ())
    parts = [maps[position] or identity(rank) for position in positions]
    if all(part.equals(parts[0]) and axis not in part.varying for part in parts):
        return Passage([parts[0]])
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return op.refuse(UNSHAPED)
    return Passage([joined(parts, axis, known)])


def _split(op: Op) -> tuple[int, int, list[int]] | Refused:
    """Position of the data input, the axis, and the sizes of the outputs along it."""
    data = 1 if op.node.op == "Split" else 0
    axes, count = op.integers(0 if op.node.op == "Split" else 2), op.node.attrs["num_split"]
    shapes = [op.shape_out(index) for index in range(count)]
    if axes is None or any(shape is None for shape in shapes):
        return op.refuse(UNSHAPED)
    axis = axes[0] % len(shapes[0] or ())
    sizes = [shape[axis] for shape in shapes if shape is not None]
    known = [size for size in sizes if size is not None]
    return (data, axis, known) if len(known) == count else op.refuse(UNSHAPED)


def _split_back(op: Op, maps: Maps) -> list[Passage] | Refused:
    found = _split(op)
    if isinstance(found, Refused):
        return found
    data, axis, sizes = found
    rank = next(map_.rank for map_ in maps if map_ is not None)
    inputs: list[Affine | None] = [None] * len(op.node.inputs)
    inputs[data] = joined([map_ or identity(rank) for map_ in maps], axis, sizes)
    return [Passage(inputs)]


def _split_forth(op: Op, maps: Maps) -> Passage | Refused:
    found = _split(op)
    if isinstance(found, Refused):
        return found
    data, axis, sizes = found
    map_ = maps[data]
    if map_ is None:
        return op.refuse("the map reaches it through an input that is not its data")
    return Passage(map_.split(axis, sizes))


# Minimum and maximum


def _extremum_behind(op: Op, maps: Maps) -> list[Passage] | Refused:
    map_ = maps[0]
    assert map_ is not None
    if refusal := must_rise(op, map_):
        return refusal
    inputs: list[Affine | None] = []
    operands = {}
    for position in range(2):
        constant = op.constant(position)
        if constant is None:
            branch = _branch(op, position, map_)
            if isinstance(branch, Refused):
                return branch
            inputs.append(branch)
        else:
            inputs.append(None)
            operands[position] = map_(constant)
    return [Passage(inputs, operands)]


def _extremum_before(op: Op, maps: Maps) -> Passage | Refused:
    rank = len(op.shape_out() or ())
    arrived = [map_.aligned(rank) for map_ in maps if map_ is not None]
    map_ = arrived[0]
    if map_ is None or not (map_.scale > 0).all():
        return op.refuse("only a scale above 0 passes it")
    operands = {}
    for position, found in enumerate(maps):
        constant = op.constant(position)
        if constant is not None:
            operands[position] = (constant - map_.shift) / map_.scale
        elif found is None or not map_.equals(found.aligned(rank) or found):
            return op.refuse("its two branches have different maps")
    return Passage([map_], operands)


# Sums


def _branch(op: Op, position: int, map_: Affine) -> Affine | Refused:
    """``map_``, wanted on the output of an op that broadcasts, as the operand at ``position`` can take it."""
    shape = op.shape(position)
    if shape is None:
        return op.refuse(UNSHAPED)
    fitted = map_.aligned(len(shape))
    if fitted is None or any(shape[axis] != fitted.size(axis) for axis in fitted.varying):
        return op.refuse(f"its operand {op.node.inputs[position]} is constant along an axis where the map varies")
    return fitted


def _sum_behind(op: Op, maps: Maps) -> list[Passage] | Refused:
    """The scale goes to every branch; the shift to one, tried in order."""
    map_ = maps[0]
    assert map_ is not None
    count = len(op.node.inputs)
    signs = [1.0, -1.0] if op.node.op == "Sub" else [1.0] * count
    ways = []
    for taker in range(count) if not map_.is_scale else [0]:
        inputs: list[Affine | None] = []
        for position in range(count):
            wanted = map_.with_shift(signs[position] * map_.shift) if position == taker else map_.only_scale()
            branch = _branch(op, position, wanted)
            if isinstance(branch, Refused):
                return branch
            inputs.append(branch)
        ways.append(Passage(inputs))
    return ways


def _sum_before(op: Op, maps: Maps) -> Passage | Refused:
    shape = op.shape_out()
    if shape is None:
        return op.refuse(UNSHAPED)
    signs = [1.0, -1.0] if op.node.op == "Sub" else [1.0] * len(maps)
    scales, shift = [], np.zeros((1,) * len(shape))
    for map_, sign in zip(maps, signs, strict=True):
        fitted = identity(len(shape)) if map_ is None else map_.aligned(len(shape))
        assert fitted is not None
        scales.append(fitted.scale)
        shift = shift + sign * fitted.shift
    if not all(np.array_equal(scale, scales[0]) for scale in scales):
        return op.refuse("its branches have different scales")
    return Passage([affine(scales[0], shift)])


BRANCHES = (
    Through(
        "concat",
        ("ConcatV2", "Concat"),
        ("s·concat(a, b) + t = concat(s₁·a + t₁, s₂·b + t₂)", "s₁, s₂ = s split as the channels are, or both s"),
        "each branch can take its part",
        _concat_back,
        _concat_forth,
    ),
    Through(
        "split",
        ("Split", "SplitV"),
        ("(s₁·a + t₁, s₂·b + t₂) = split(s·x + t)", "s = concat(s₁, s₂)"),
        "backward, the other parts keep the identity",
        _split_back,
        _split_forth,
    ),
    Through(
        "minimum, maximum",
        ("Maximum", "Minimum"),
        ("s·max(x, c) + t = max(s·x + t, s·c + t)",),
        "s > 0; c is constant, or both branches can take the map",
        _extremum_behind,
        _extremum_before,
    ),
    Through(
        "sum of branches",
        ("Add", "AddV2", "AddN", "Sub"),
        ("s·(a + b) + t = (s·a + t) + s·b",),
        "every branch can take the scale, one of them the shift",
        _sum_behind,
        _sum_before,
    ),
)

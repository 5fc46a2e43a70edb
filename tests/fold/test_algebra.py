"""The algebra by properties: for any x and any maps, the arrays say what the functions do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bnfold.fold.algebra import Affine, Array, affine, batch_norm, identity, joined
from bnfold.fold.kernels import input_factor, output_factor, response
from bnfold.fold.rounding import rounded

SIZES = st.integers(1, 4)
VALUES = st.floats(-8, 8, width=32)


@st.composite
def tensors(draw: st.DrawFn, rank: int | None = None) -> Array:
    shape = draw(st.lists(SIZES, min_size=rank or 1, max_size=rank or 4))
    return draw(hnp.arrays(np.float64, shape, elements=VALUES))


@st.composite
def maps_on(draw: st.DrawFn, shape: tuple[int, ...]) -> Affine:
    """A map on a tensor of ``shape`` that varies along some of its axes."""
    arrays = []
    for _ in range(2):
        kept = [size if draw(st.booleans()) else 1 for size in shape]
        arrays.append(draw(hnp.arrays(np.float64, kept, elements=VALUES)))
    return affine(*arrays)


def same(one: Array, other: Array) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-11)


@given(st.data())
def test_composition_is_one_map_after_the_other(data: st.DataObject) -> None:
    x = data.draw(tensors())
    outer, inner = data.draw(maps_on(x.shape)), data.draw(maps_on(x.shape))
    same(outer.after(inner)(x), outer(inner(x)))


@given(st.data())
def test_map_past_another_gives_the_same_from_behind(data: st.DataObject) -> None:
    x = data.draw(tensors())
    outer, inner = data.draw(maps_on(x.shape)), data.draw(maps_on(x.shape))
    same(inner.past(outer)(outer(x)), outer(inner(x)))


@given(st.data())
def test_reshape_moves_the_map_with_its_elements(data: st.DataObject) -> None:
    x = data.draw(tensors(4))
    map_ = data.draw(maps_on(x.shape))
    new = data.draw(st.sampled_from(_shapes_of(x.size)))
    moved = map_.reshaped(x.shape, new)
    assert moved is not None
    same(moved(x.reshape(new)), map_(x).reshape(new))


def _shapes_of(size: int) -> list[tuple[int, ...]]:
    pairs = [(a, size // a) for a in range(1, size + 1) if size % a == 0]
    triples = [(a, b, rest // b) for a, rest in pairs for b in range(1, rest + 1) if rest % b == 0]
    return [(size,), *pairs, *triples]


@given(st.data())
def test_reshape_around_an_unknown_size_is_right_or_refused(data: st.DataObject) -> None:
    x = data.draw(tensors(4))
    map_ = data.draw(maps_on(x.shape))
    new = data.draw(st.sampled_from(_shapes_of(x.size)))
    old_known = [None if data.draw(st.booleans()) else size for size in x.shape]
    new_known = [None if data.draw(st.booleans()) else size for size in new]
    moved = map_.reshaped(old_known, new_known)
    assume(moved is not None)
    assert moved is not None
    same(moved(x.reshape(new)), map_(x).reshape(new))


@given(st.data())
def test_reshape_keeps_channels_whole_whatever_the_batch(data: st.DataObject) -> None:
    """The cases that must not be refused: batch, height and width unknown, channels last."""
    channels = data.draw(st.integers(2, 5))
    map_ = data.draw(maps_on((1, 1, 1, channels)))
    for old, new in (
        ((None, None, None, channels), (None, channels)),
        ((None, None, None, channels), (None, 1, None, channels)),
        ((None, 3, 2, channels), (None, 6 * channels)),
        ((None, 1, 1, channels), (None, channels, 1)),
    ):
        assert map_.reshaped(old, new) is not None


@given(st.data())
def test_transpose_moves_the_map_with_its_elements(data: st.DataObject) -> None:
    x = data.draw(tensors())
    map_, order = data.draw(maps_on(x.shape)), data.draw(st.permutations(range(x.ndim)))
    same(map_.transposed(order)(x.transpose(order)), map_(x).transpose(order))


@given(st.data())
def test_split_and_join_are_inverse(data: st.DataObject) -> None:
    x = data.draw(tensors())
    map_, axis = data.draw(maps_on(x.shape)), data.draw(st.integers(0, x.ndim - 1))
    first = data.draw(st.integers(0, x.shape[axis]))
    sizes = [first, x.shape[axis] - first]
    assume(all(sizes))
    parts = map_.split(axis, sizes)
    pieces = np.split(x, [first], axis)
    same(np.concatenate([m(p) for m, p in zip(parts, pieces, strict=True)], axis), map_(x))
    same(joined(parts, axis, sizes)(x), map_(x))


def test_identity_changes_nothing() -> None:
    assert identity(3).is_identity
    assert not identity(3).varying


def test_vector_on_the_last_axis_is_not_one_on_axis_1_when_their_sizes_agree() -> None:
    map_ = affine(np.arange(4.0).reshape(1, 1, 1, 4), np.zeros((1, 1, 1, 1)))
    assert map_.along(1, 4) is None
    assert map_.along(3, 4) is not None


@given(st.data())
def test_batch_norm_is_its_definition(data: st.DataObject) -> None:
    gamma, beta, mean, x = (data.draw(hnp.arrays(np.float64, 5, elements=VALUES)) for _ in range(4))
    variance = np.abs(data.draw(hnp.arrays(np.float64, 5, elements=VALUES)))
    scale, shift = batch_norm(gamma, beta, mean, variance, 1e-3)
    same(scale * x + shift, gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)


# Kernels


def linear(layout: str, x: Array, kernel: Array, groups: int) -> Array:
    """What the op of ``layout`` does at one pixel: x of shape (taps, inputs) → (outputs,), or for the transposed
    convolution x of shape (inputs,) → (taps, outputs), written with loops as the definition has it."""
    if layout == "HWIM":
        taps = kernel.reshape(-1, *kernel.shape[2:])
        return np.einsum("tc,tcm->cm", x, taps).reshape(-1)
    taps = kernel.reshape(-1, *kernel.shape[-2:])
    rows, columns = taps.shape[1:]
    each = columns // groups
    if layout in ("HWIO", "IO"):
        parts = [np.einsum("ta,tab->b", x[:, g * rows : (g + 1) * rows], taps[:, :, g * each : (g + 1) * each])
                 for g in range(groups)]  # fmt: skip
        return np.concatenate(parts)
    parts = [np.einsum("b,tab->ta", x[g * each : (g + 1) * each], taps[:, :, g * each : (g + 1) * each])
             for g in range(groups)]  # fmt: skip
    return np.concatenate(parts, axis=1)


LAYOUTS = {"HWIO": (2, 3), "HWIM": (2, 3), "HWOI": (2, 3), "IO": (), "OI": ()}


@st.composite
def kernels(draw: st.DrawFn) -> tuple[str, Array, int, int, int]:
    """Layout, kernel, groups, number of inputs, number of outputs."""
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    groups = draw(st.integers(1, 3)) if layout in ("HWIO", "HWOI") else 1
    rows, each = draw(SIZES), draw(SIZES)
    kernel = draw(hnp.arrays(np.float64, (*LAYOUTS[layout], rows, groups * each), elements=VALUES))
    if layout == "HWIM":
        return layout, kernel, rows, rows, rows * each
    inputs, outputs = groups * rows, groups * each
    return (
        (layout, kernel, groups, inputs, outputs)
        if layout in ("HWIO", "IO")
        else (layout, kernel, groups, outputs, inputs)
    )


@given(st.data())
@settings(max_examples=200)
def test_folded_kernel_does_what_the_maps_around_the_op_did(data: st.DataObject) -> None:
    """after(linear(before(x))) = linear'(x) + bias'."""
    layout, kernel, groups, inputs, outputs = data.draw(kernels())
    taps = int(np.prod(kernel.shape[:-2]))
    vectors = [data.draw(hnp.arrays(np.float64, n, elements=VALUES)) for n in (outputs, outputs, inputs, inputs)]
    scale_out, shift_out, scale_in, shift_in = vectors
    transposed = layout in ("HWOI", "OI")
    if layout == "HWOI":
        shift_in = np.zeros(inputs)
    x = data.draw(hnp.arrays(np.float64, inputs if transposed else (taps, inputs), elements=VALUES))
    expected = linear(layout, x * scale_in + shift_in, kernel, groups) * scale_out + shift_out
    bias = 0.0 if layout == "HWOI" else response(layout, kernel, shift_in)
    folded = kernel * input_factor(layout, kernel.shape, scale_in) * output_factor(layout, kernel.shape, scale_out)
    same(linear(layout, x, folded, groups) + bias * scale_out + shift_out, expected)


# Rounding


@given(st.data())
@settings(max_examples=50)
def test_rounding_is_at_most_half_a_unit_in_the_last_place(data: st.DataObject) -> None:
    kernel = data.draw(hnp.arrays(np.float32, (2, 3, 4, 5), elements=st.floats(-2, 2, width=32)))
    factor = data.draw(hnp.arrays(np.float64, (1, 1, 1, 5), elements=st.floats(0.1, 9)))
    made = rounded(kernel, factor, np.dtype(np.float32))
    assert made.error <= 2.0**-24
    np.testing.assert_array_equal(made.value, (kernel.astype(np.float64) * factor).astype(np.float32))


def test_rounding_is_the_same_in_blocks() -> None:
    rng = np.random.default_rng(5)
    kernel = rng.normal(size=(3, 3, 200, 300)).astype(np.float32)
    factor = rng.normal(size=(1, 1, 200, 300))
    made = rounded(kernel, factor, np.dtype(np.float32))
    np.testing.assert_array_equal(made.value, (kernel * factor).astype(np.float32))
    assert 0 < made.error <= 2.0**-24
    assert made.trouble is None


@pytest.mark.parametrize(
    ("factor", "dtype", "trouble"),
    [
        (1e39, np.float32, "overflows"),
        (np.nan, np.float32, "overflows"),
        (1e-39, np.float32, "underflows"),
        (2e5, np.float16, "overflows"),
        (1e-5, np.float16, "underflows"),
        (0.0, np.float16, None),
        (1e-3, np.float16, None),
    ],
)
def test_rounding_says_when_a_channel_leaves_the_range(factor: float, dtype: type, trouble: str | None) -> None:
    kernel = np.array([[1.0, 0.5], [2.0, -0.25]], dtype)
    assert rounded(kernel, np.array([[1.0, factor]]), np.dtype(dtype)).trouble == trouble


def test_dead_weights_are_no_underflow() -> None:
    """Weight decay leaves weights near 1e-41 behind: they may vanish, the channel does not change by it."""
    kernel = np.array([[1e-41, 1.0], [1e-42, 1e-41]], np.float32)
    assert rounded(kernel, np.array([[0.1, 0.1]]), np.dtype(np.float32)).trouble is None

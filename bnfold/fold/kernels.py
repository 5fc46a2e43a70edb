"""How a map enters a kernel, in numpy alone.

The last two axes of a kernel, (a, g·b), tell its layout: HWIO has a = the inputs of a group and g·b = the outputs, in
g groups. HWOI, the transposed convolution's, is the same array with the two roles exchanged; so is a matrix (out, in)
beside (in, out). HWIM, the depthwise kernel, is HWIO with one input a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnfold.fold.algebra import Array

SWAPPED = ("HWOI", "DHWOI", "OI")
"""Layouts whose last axis counts the inputs."""


def output_factor(layout: str, shape: Sequence[int], scale: Array) -> Array:
    """What to multiply a kernel by, so that its outputs are multiplied by ``scale``.

    Parameters
    ----------
    layout : {"HWIO", "HWIM", "HWOI", "DHWIO", "DHWOI", "IO", "OI"}
    shape : of the kernel
    scale : ndarray of shape (outputs,)

    Returns
    -------
    ndarray that broadcasts against the kernel
    """
    return _along_rows(layout, shape, scale) if layout in SWAPPED else _along_columns(layout, shape, scale)


def input_factor(layout: str, shape: Sequence[int], scale: Array) -> Array:
    """What to multiply a kernel by, in place of multiplying its inputs by ``scale`` of shape (inputs,)."""
    return _along_columns(layout, shape, scale) if layout in SWAPPED else _along_rows(layout, shape, scale)


def response(layout: str, kernel: Array, shift: Array) -> Array:
    """What the linear op gives, of shape (outputs,), when each input is ``shift``, of shape (inputs,), everywhere.

    Only where every tap of the kernel reads an input: inside the border. Of the exchanged layouts, only matrices.
    """
    if layout in SWAPPED:
        across: Array = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0) @ shift
        return across
    weighted: Array = kernel * _along_rows(layout, kernel.shape, shift)
    outputs: Array = weighted.sum(axis=tuple(range(weighted.ndim - 2)))
    return outputs.reshape(-1) if layout == "HWIM" else outputs.sum(axis=0)


def _along_columns(layout: str, shape: Sequence[int], vector: Array) -> Array:
    lead = (1,) * (len(shape) - 2)
    return vector.reshape(*lead, *shape[-2:]) if layout == "HWIM" else vector.reshape(*lead, 1, shape[-1])


def _along_rows(layout: str, shape: Sequence[int], vector: Array) -> Array:
    lead = (1,) * (len(shape) - 2)
    rows, columns = shape[-2:]
    if layout == "HWIM":
        return vector.reshape(*lead, rows, 1)
    groups = len(vector) // rows
    if groups == 1:
        return vector.reshape(*lead, rows, 1)
    each = np.repeat(vector.reshape(groups, rows).T, columns // groups, axis=1)
    return each.reshape(*lead, rows, columns)

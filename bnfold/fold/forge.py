"""Making the constants of a plan, before anything in the graph changes: here a fold is refused for its rounding."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bnfold.fold.exact import Product
from bnfold.fold.plan import Absorb, Compose, Move, Pass, Plan, Rewrite
from bnfold.fold.row import Kernel, Refused
from bnfold.fold.scene import Scene
from bnfold.graph import Array


@dataclass(frozen=True)
class Forged:
    """The constants of one Absorb.

    Attributes
    ----------
    move : Absorb
    kernel : Kernel
    new_kernel : Product or None
        None where the scale is 1.
    tensor : str
        The kernel it replaces.
    bias : ndarray of float64 or None
        What the op's output has to be shifted by, broadcasting against it; None for 0.
    """

    move: Absorb
    kernel: Kernel
    new_kernel: Product | None
    tensor: str
    bias: Array | None = field(repr=False)


def forge(plan: Plan, scene: Scene) -> list[Forged] | Refused:
    """The constants of each Absorb of ``plan``, in order, or why one cannot be."""
    forged = []
    for move in plan:
        if not all(fits(value, scene, f"{move.node}:0") for value in _operands(move, scene)):
            return Refused(f"a constant of {move.node} overflows its type")
        if isinstance(move, Absorb):
            made = _forge(move, scene)
            if isinstance(made, Refused):
                return made
            forged.append(made)
    return forged


def _forge(move: Absorb, scene: Scene) -> Forged | Refused:
    node = scene.graph[move.node]
    kernel = scene.kernel(node)
    assert isinstance(kernel, Kernel)
    tensor = node.inputs[kernel.position]
    bias = move.map.shift if not move.forward else _response(kernel, tensor, move, scene)
    if isinstance(bias, Refused):
        return bias
    new_kernel = None
    if not move.map.is_shift:
        factor = kernel.scale_input(move.map) if move.forward else kernel.scale_output(move.map)
        if isinstance(factor, Refused):
            return factor
        new_kernel = scene.exact.scaled(tensor, factor)
        if new_kernel.made.trouble:
            return Refused(f"the kernel of {node.name} {new_kernel.made.trouble} {new_kernel.made.value.dtype}")
    if not bias.any():
        return Forged(move, kernel, new_kernel, tensor, None)
    if not fits(bias, scene, node.output):
        return Refused(f"the bias of {node.name} overflows its type")
    return Forged(move, kernel, new_kernel, tensor, bias)


def _operands(move: Move, scene: Scene) -> list[Array]:
    """The constants that ``move`` writes beside a linear op."""
    if isinstance(move, Pass):
        return list(move.passage.operands.values())
    if isinstance(move, Compose):
        return [move.map.scale, move.map.shift]
    if isinstance(move, Rewrite):
        value = scene.exact.value(scene.graph[move.node].inputs[move.position])
        return [] if value is None else [move.map(value)]
    return []


def _response(kernel: Kernel, tensor: str, move: Absorb, scene: Scene) -> Array | Refused:
    if move.map.is_scale:
        return np.zeros(())
    exact = scene.exact.value(tensor)
    assert exact is not None
    return kernel.respond(exact, move.map)


def fits(value: Array, scene: Scene, tensor: str) -> bool:
    """Whether ``value`` is finite in the type of ``tensor``."""
    found = scene.graph.type_of(tensor)
    assert found is not None
    assert found.dtype.numpy is not None
    with np.errstate(over="ignore"):
        return bool(np.isfinite(value.astype(found.dtype.numpy).astype(np.float64)).all())

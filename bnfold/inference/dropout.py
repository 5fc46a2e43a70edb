"""Dropout and noise layers taken out of a forward graph.

They are recognised by what they compute, not by their names: a tensor is multiplied by (or selected by, or added to)
random numbers that depend on nothing but constants, a keep probability and the tensor's own shape. Whether those
numbers average to one (to zero for noise that is added) tells a layer that training alone has from sampling that
belongs to the model, as in a variational autoencoder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bnfold.graph import Graph, Node, constant, node_name
from bnfold.graph.stages import Note
from bnfold.inference.noise import Distribution, Noise
from bnfold.inference.op_kinds import LINEAR, RANDOM, VARIABLES

MULTIPLY = frozenset({"Mul"})
ADD = frozenset({"Add", "AddV2", "Sub"})
SELECT = frozenset({"Select", "SelectV2"})
SCALE = frozenset({"Mul", "RealDiv", "Div"})

ALPHA = -1.7580993408473766
"""What alpha dropout puts in the place of a dropped value: −λα of the SELU activation (Klambauer et al., 2017)."""

TOLERANCE = 2e-3


@dataclass(frozen=True)
class _Match:
    """A layer: ``last`` computes ``factor`` · ``x`` on average.

    ``kind`` is ``dropout``, ``noise`` or ``flip``.
    """

    kind: str
    x: str
    last: str
    factor: float = 1.0


def remove_dropout(
    graph: Graph, *, kinds: Collection[str] = ("dropout", "noise", "flip")
) -> tuple[Graph, tuple[Note, ...]]:
    """Take dropout, noise layers and stochastic depth out of ``graph``.

    Parameters
    ----------
    graph : Graph
        The part that the outputs depend on, with training flags resolved. Variables and keep-probability
        placeholders may still be there.
    kinds : collection of {"dropout", "noise", "flip"}
        ``dropout`` takes out what drops values, paths through a residual block included; ``noise`` what adds random
        numbers or multiplies by them; ``flip`` what mirrors data at random.

    Returns
    -------
    Graph
        In which the last op of each layer is an Identity of the layer's input; what rolled its dice is gone.
    tuple of Note
        ``dropout-removed``, ``noise-removed``, ``flip-removed``; ``dropout-unscaled`` where the mask was not divided
        by the keep probability; ``random-left`` for random ops that stay.
    """
    result = graph.copy()
    matches: list[_Match] = []
    while found := [match for match in _match_all(result) if match.kind in kinds]:
        for match in found:
            _take_out(result, match)
        matches += found
    return result, tuple(_notes(result, matches))


def _match_all(graph: Graph) -> list[_Match]:
    noise = Noise(graph)
    found: list[_Match] = []
    used: set[str] = set()
    for node in graph:
        match = _match(node, graph, noise)
        if match is not None and not {match.last, node.name} & used:
            used |= {match.last, node.name}
            found.append(match)
    return found


def _match(node: Node, graph: Graph, noise: Noise) -> _Match | None:
    if node.op in SELECT:
        return _match_select(node, graph, noise)
    if node.op not in MULTIPLY | ADD or len(node.inputs) != 2:
        return None
    first, second = node.inputs
    if noise.is_data(first) and noise.is_noise(second):
        x, mask = first, second
    elif noise.is_noise(first) and noise.is_data(second) and node.op != "Sub":
        x, mask = second, first
    else:
        return None
    found = noise.distribution(mask)
    if found is None:
        return None
    if (flip := _match_blend(node, graph, noise)) is not None:
        return flip
    if node.op in ADD:
        return _Match("noise", x, node.name) if abs(found.mean) < TOLERANCE * found.spread else None
    if found.is_binary:
        return _match_alpha(node, x, found, graph, noise) or _scaled(node, x, found, graph, noise)
    if abs(found.mean - 1) < TOLERANCE * found.spread:
        return _Match("noise", x, node.name)
    return None


def _match_select(node: Node, graph: Graph, noise: Noise) -> _Match | None:
    """``where(mask, x · scale, 0)``, and the other way round."""
    condition, then, otherwise = node.inputs
    if noise.is_noise(condition) and (x := _unflipped(then, otherwise, graph)) is not None:
        return _Match("flip", x, node.name)
    if not noise.is_noise(condition) or (mask := noise.distribution(condition)) is None:
        return None
    if noise.is_data(then) and noise.number(otherwise) == 0:
        return _scaled(node, then, mask, graph, noise)
    if noise.is_data(otherwise) and noise.number(then) == 0:
        return _scaled(node, otherwise, replace(mask, values=1 - mask.values), graph, noise)
    return None


def _match_blend(node: Node, graph: Graph, noise: Noise) -> _Match | None:
    """``mask · flipped + (1 − mask) · x``, met at either product."""
    total = _only_reader(node, graph, ADD)
    products = [graph.find_producer(tensor) for tensor in total.inputs] if total is not None else []
    blended = []
    for product in products:
        if product is None or product.op not in MULTIPLY or sum(map(noise.is_noise, product.inputs)) != 1:
            return None
        blended += [tensor for tensor in product.inputs if not noise.is_noise(tensor)]
    if total is None or len(blended) != 2 or (x := _unflipped(blended[0], blended[1], graph)) is None:
        return None
    return _Match("flip", x, total.name)


def _unflipped(then: str, otherwise: str, graph: Graph) -> str | None:
    """The one of the two tensors of which the other is the mirror image."""
    for flipped, x in ((then, otherwise), (otherwise, then)):
        node = graph.find_producer(_unnamed(flipped, graph))
        if node is not None and node.op == "ReverseV2" and _unnamed(node.inputs[0], graph) == _unnamed(x, graph):
            return x
    return None


def _unnamed(tensor: str, graph: Graph) -> str:
    node = graph.find_producer(tensor)
    while node is not None and node.op == "Identity":
        tensor = node.inputs[0]
        node = graph.find_producer(tensor)
    return tensor


# The division by the keep probability, before, after or within the mask


def _scaled(node: Node, x: str, mask: Distribution, graph: Graph, noise: Noise) -> _Match | None:
    """The layer around ``node``, which multiplies ``x`` by ``mask``: of the ways to read it, the one nearest to
    leaving the average alone. With a keep probability of 0.999 the mask by itself comes near, too.
    """
    readings = [(mask.mean, x, node.name)]
    readings += [(mask.mean * scale, before, node.name) for before, scale in _scales_before(x, graph, noise)]
    readings += [(mask.mean * scale, x, after.name) for after, scale in _scales_after(node, graph, noise)]
    mean, data, last = min(readings, key=lambda reading: abs(reading[0] - 1))
    if _is_one(mean):
        return _Match("dropout", data, last)
    if mask.guessed:
        return None  # without the keep probability there is no telling what the mask averages to
    if not any(node.op in VARIABLES or node.op in LINEAR for node in graph.topological([x])):
        return _Match("dropout", x, node.name)  # data corrupted on purpose: the model is used on data that is not
    return _Match("dropout", x, node.name, factor=mask.mean)


def _is_one(value: float) -> bool:
    return abs(value - 1) < TOLERANCE


def _scales_before(x: str, graph: Graph, noise: Noise) -> Iterator[tuple[str, float]]:
    node = graph.find_producer(x)
    if node is not None and node.op == "Identity":
        yield from _scales_before(node.inputs[0], graph, noise)
    elif node is not None and node.op in SCALE:
        yield from _factors(node, noise)


def _scales_after(node: Node, graph: Graph, noise: Noise) -> Iterator[tuple[Node, float]]:
    reader = _only_reader(node, graph, SCALE)
    if reader is not None:
        for tensor, scale in _factors(reader, noise):
            if tensor == node.output:
                yield reader, scale


def _factors(node: Node, noise: Noise) -> Iterator[tuple[str, float]]:
    """``(x, factor)`` for each way to read ``node`` as x times a number."""
    first, second = node.inputs
    if number := noise.number(second):
        yield first, number if node.op == "Mul" else 1 / number
    if node.op == "Mul" and (number := noise.number(first)):
        yield second, number


# Alpha dropout: a · (x · mask + α · (1 − mask)) + b


def _match_alpha(node: Node, x: str, mask: Distribution, graph: Graph, noise: Noise) -> _Match | None:
    total = _only_reader(node, graph, ADD)
    if total is None:
        return None
    fill = next((tensor for tensor in total.inputs if tensor != node.output), "")
    found = noise.distribution(fill) if noise.is_noise(fill) else None
    if found is None or found.origin != mask.origin:
        return None
    if not np.allclose(found.values, np.where(mask.values == 0, ALPHA, 0), atol=1e-3):
        return None
    scaled = _only_reader(total, graph, MULTIPLY)
    shifted = _only_reader(scaled, graph, ADD) if scaled is not None else None
    return _Match("dropout", x, shifted.name) if shifted is not None else None


def _only_reader(node: Node, graph: Graph, ops: frozenset[str]) -> Node | None:
    readers = graph.readers(node.output)
    return readers[0] if len(readers) == 1 and readers[0].op in ops else None


# The edit


def _take_out(graph: Graph, match: _Match) -> None:
    last = graph[match.last]
    behind = [node_name(tensor) for tensor in last.inputs if node_name(tensor) != node_name(match.x)]
    dtype = {"T": last.attrs["T"]} if "T" in last.attrs else {}
    if match.factor == 1:
        graph.replace(Node(last.name, "Identity", (match.x,), dtype))
    else:
        name = graph.fresh_name(f"{last.name}/keep_prob")
        graph.add(constant(name, np.asarray(match.factor, dtype=last.attrs["T"].numpy)))
        graph.replace(Node(last.name, "Mul", (match.x, f"{name}:0"), dtype))
    _sweep(graph, behind)


def _sweep(graph: Graph, names: Iterable[str]) -> None:
    """Remove the nodes ``names``, and what feeds them, as far as nothing reads them any more."""
    removed: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        node = graph.get(name)
        if node is None or graph.consumers(name) or node.op in ("Placeholder", "PlaceholderV2"):
            continue
        graph.remove(name)
        removed.add(name)
        stack += [node_name(tensor) for tensor in node.inputs]
    for node in list(graph):
        if not removed.isdisjoint(node.controls):
            graph.replace(replace(node, controls=tuple(name for name in node.controls if name not in removed)))


# What to tell


def _notes(graph: Graph, matches: list[_Match]) -> Iterator[Note]:
    for kind, word in (("dropout", "dropout"), ("noise", "random noise"), ("flip", "random flips")):
        names = tuple(match.last for match in matches if match.kind == kind and match.factor == 1)
        if names:
            layers = f"{len(names)} layers" if len(names) > 1 else "1 layer"
            yield Note("note", f"{kind}-removed", f"{word} removed: {layers} ({_some(names)})", names)
    if unscaled := tuple(match.last for match in matches if match.factor != 1):
        yield Note(
            "warning",
            "dropout-unscaled",
            f"dropout that is not divided by its keep probability, replaced by its average: {_some(unscaled)}",
            unscaled,
            "check that the model was meant to be scaled by the keep probability at inference",
        )
    if left := tuple(node.name for node in graph if node.op in RANDOM):
        yield Note(
            "warning",
            "random-left",
            f"the outputs depend on random numbers that are no dropout and stay: {_some(left)}",
            left,
            "name the random tensor with --input to feed it, or an output before it with --output",
        )


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"

"""Copies of one network in a graph: towers that share their weights, and adversaries that judge one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bnfold.graph import node_name
from bnfold.inference.anatomy import Anatomy


def one_tower(ends: Mapping[str, str], parts: Anatomy) -> tuple[dict[str, str], list[str]]:
    """Of towers that share their weights, the one that is not trained, else the first."""
    towers: dict[str, frozenset[str]] = {
        name: frozenset(parts.graph.ancestors([f"{name}:0"]) & parts.layers) for name in ends
    }
    chosen: dict[str, str] = {}
    runners: list[str] = []
    for name in sorted(ends, key=lambda end: _is_trained(towers[end], parts)):
        twin = any(
            parts.weights.get(name) == parts.weights.get(other) and not towers[name] & towers[other] for other in chosen
        )
        if twin:
            runners.append(name)
        else:
            chosen[name] = ends[name]
    return {name: reason for name, reason in ends.items() if name in chosen}, runners


def uncomposed(ends: Mapping[str, str], parts: Anatomy) -> tuple[dict[str, str], list[str]]:
    """The ends but those made of other ends by no weights of their own: what a cycle of generators gives back, or the
    points between real and generated samples at which a penalty takes the gradient.
    """
    composed: list[str] = []
    for name in ends:
        before = parts.graph.ancestors([f"{name}:0"]) & ends.keys() - {name}
        others = 0
        for other in ends:
            others |= parts.weights.get(other, 0) if other not in (name, *composed) else 0
        if before and not parts.weights.get(name, 0) & ~others:
            composed.append(name)
    return {name: reason for name, reason in ends.items() if name not in composed}, composed


def generators(ends: Mapping[str, str], parts: Anatomy) -> dict[str, str]:
    """Adversarial nets: of discriminator(x) and discriminator(generator(z)), the generator's end.

    One end is the composition of two nets if it runs all the weights of another end, and more, on other data.
    """
    generated: dict[str, str] = {}
    while True:
        pairs = {(judge, name) for name in ends for judge in ends if _runs(judge, name, parts)}
        judged = {pair: before for pair in pairs if (before := _before(*pair, parts))}
        found = {end for before in judged.values() for end in before}
        gone = {end for pair in judged for end in pair}
        for judge in {judge for judge, _ in judged}:
            gone |= {end for end in ends if _judges_any(judge, end, found, parts)}
        gone -= generated.keys() | found
        if not gone:
            return dict(ends)
        generated.update(dict.fromkeys(sorted(found), "the end of a generator"))
        ends = {**{name: reason for name, reason in ends.items() if name not in gone}, **generated}


def _judges_any(judge: str, end: str, found: Iterable[str], parts: Anatomy) -> bool:
    """Whether ``end`` is computed by layers of ``judge`` from what one of the generators ``found`` made."""
    weights = parts.weights[end]
    return bool(weights & parts.weights[judge]) and any(
        weights & parts.weights[maker] and not parts.weights[maker] & parts.weights[judge] for maker in found
    )


def _runs(judge: str, name: str, parts: Anatomy) -> bool:
    weights, more = parts.weights[judge], parts.weights[name]
    if not weights or weights == more or weights & ~more:
        return False
    layers = parts.graph.ancestors([f"{judge}:0"]) & parts.layers
    again = (parts.graph.ancestors([f"{name}:0"]) & parts.layers) - layers
    covered = 0
    for layer in again:
        for tensor in parts.graph[layer].inputs:
            if not parts.data_of(tensor):
                covered |= parts.weights.get(node_name(tensor), 0)
    return bool(covered & weights)


def _before(judge: str, name: str, parts: Anatomy) -> list[str]:
    """The last nodes on the way to ``name`` that have none of ``judge``'s weights."""
    weights = parts.weights[judge]
    before = [
        node.name
        for node in parts.graph.topological([f"{name}:0"])
        if node.name in parts.weighted and not parts.weights[node.name] & weights
    ]
    inside = set(before)
    ends = [end for end in before if not any(r.name in inside for r in parts.readers(parts.graph[end]))]
    return [part for end in ends for part in _parts_of(end, parts)]


def _parts_of(name: str, parts: Anatomy) -> list[str]:
    """What a concatenation puts together, as far as it comes from a net: the rest is its condition."""
    node = parts.graph[name]
    if node.op not in ("Concat", "ConcatV2", "Pack"):
        return [name]
    inputs = [node_name(tensor) for tensor in node.inputs]
    return [part for each in inputs if each in parts.weighted for part in _parts_of(each, parts)]


def _is_trained(layers: Iterable[str], parts: Anatomy) -> bool:
    return any(
        reader.name in parts.gradients
        for name in layers
        for tensor in parts.graph[name].inputs
        if parts.data_of(tensor)
        for reader in parts.graph.readers(tensor)
    )

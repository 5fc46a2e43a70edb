"""Which tensor of an ONNX file stands for which tensor of the reference, and in which layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bnfold.graph import Shape
from bnfold.graph.stages import Endpoint
from bnfold.verify.candidate import Value
from bnfold.verify.report import Match


def match(
    endpoints: Sequence[Endpoint], values: Sequence[Value], *, role: str, names: Mapping[str, str] | None = None
) -> tuple[dict[str, Match], list[str]]:
    """Pair the reference's ``endpoints`` with the file's ``values``.

    By name first, with and without ``:0``; then what is left over by being alone, by dtype and shape where only
    one fits, and by position where the counts agree.

    Parameters
    ----------
    endpoints : sequence of Endpoint
    values : sequence of Value
    role : str
        ``input`` or ``output``, for the messages.
    names : mapping of str to str, optional
        The file's name for a tensor of the reference, where it was renamed on purpose.

    Returns
    -------
    matches : dict of str to Match
        By the endpoint's name.
    problems : list of str
        Endpoints without a value, and values without an endpoint.
    """
    by_name = {value.name: value for value in values}
    found: dict[str, tuple[Value, str]] = {}
    for endpoint in endpoints:
        for candidate, how in _names(endpoint, names or {}):
            if candidate in by_name:
                found[endpoint.name] = (by_name.pop(candidate), how)
                break
    _pair_rest([e for e in endpoints if e.name not in found], by_name, found, role)
    problems = [
        f"the file has no {role} for {endpoint.name} (it has {_listed(v.name for v in values)})"
        for endpoint in endpoints
        if endpoint.name not in found
    ]
    if by_name:
        problems.append(f"the file has {role}s that TensorFlow's graph does not: {_listed(by_name)}")
    matches = {}
    for endpoint in endpoints:
        if endpoint.name in found:
            value, how = found[endpoint.name]
            order = permutation(endpoint.shape, value.shape)
            matches[endpoint.name] = Match(endpoint.name, value.name, how, order)
    return matches, problems


def _names(endpoint: Endpoint, names: Mapping[str, str]) -> list[tuple[str, str]]:
    stem = endpoint.name.rpartition(":")[0]
    inner = endpoint.tensor.rpartition(":")[0]
    candidates = [(names[key], "renamed") for key in (endpoint.name, stem) if key in names]
    candidates += [(endpoint.name, "same name"), (stem, "name without :0")]
    return [*candidates, (endpoint.tensor, "same name"), (inner, "name without :0")]


def _pair_rest(
    endpoints: list[Endpoint], values: dict[str, Value], found: dict[str, tuple[Value, str]], role: str
) -> None:
    if len(endpoints) == len(values) == 1:
        how = f"the only {role}" if not found else f"the only {role} left"
        found[endpoints[0].name] = (values.popitem()[1], how)
        return
    for endpoint in endpoints:
        fitting = [value for value in values.values() if _fits(endpoint, value)]
        rivals = [other for other in endpoints if other.name not in found and _same_type(other, endpoint)]
        if len(fitting) == 1 and len(rivals) == 1:
            found[endpoint.name] = (values.pop(fitting[0].name), "the only one of its shape")
    left = [endpoint for endpoint in endpoints if endpoint.name not in found]
    if left and len(left) == len(values) and all(map(_fits, left, values.values())):
        for endpoint in left:
            name = next(iter(values))
            found[endpoint.name] = (values.pop(name), "by position")


def _same_type(a: Endpoint, b: Endpoint) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape


def _fits(endpoint: Endpoint, value: Value) -> bool:
    if value.dtype is not None and value.dtype != endpoint.dtype:
        return False
    same = compatible(endpoint.shape, value.shape)
    return same or permutation(endpoint.shape, value.shape) is not None


def compatible(a: Shape | None, b: Shape | None) -> bool:
    """Whether an array can have both static shapes."""
    if a is None or b is None:
        return True
    return len(a) == len(b) and all(x is None or y is None or x == y for x, y in zip(a, b, strict=True))


def permutation(expected: Shape | None, found: Shape | None) -> tuple[int, ...] | None:
    """The axes of ``expected`` in the order of ``found``, when one is channels first and the other channels last.

    None when the shapes agree as they are, or do not agree at all. Where open sizes leave both possible, the order
    that more of the known sizes confirm: (?, 3, ?, ?) beside (?, ?, ?, 3) is channels first.
    """
    if expected is None or found is None or len(expected) != len(found) or len(expected) < 3:
        return None
    rank = len(expected)
    best, confirmed = None, _confirmed(expected, found)
    for order in ((0, rank - 1, *range(1, rank - 1)), (0, *range(2, rank), 1)):
        score = _confirmed(tuple(expected[axis] for axis in order), found)
        if score > confirmed:
            best, confirmed = order, score
    return best


def _confirmed(a: Shape, b: Shape) -> int:
    """How many sizes both know and agree on; -1 when some disagree."""
    return sum(x is not None and x == y for x, y in zip(a, b, strict=True)) if compatible(a, b) else -1


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"

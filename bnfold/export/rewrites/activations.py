"""Activations that TensorFlow writes as several nodes and ONNX has one or two for.

    hard sigmoid    relu6(x + 3) · 1/6            → HardSigmoid
    gelu            x · 0.5 · (1 + erf(x / √2)), or with erfc(-x / √2)   → Gelu, since opset 20
    gelu            x · 0.5 · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))
    clipped relu    min(max(x, 0), 6)             → Relu6, which is one Clip
    leaky relu      max(x, α · x), 0 < α < 1      → LeakyRelu

Each is matched by the constants that stand in it, whichever operand they are, and by nothing else reading what is
inside.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from math import pi, sqrt

import ml_dtypes

from bnfold.export.rewrites import rewrites
from bnfold.graph import Array, Graph, Node
from bnfold.graph.dtypes import FLOAT64

_SUM = frozenset({"Add", "AddV2"})
_PRODUCT = frozenset({"Mul"})


@rewrites(order=5)
def find_activations(graph: Graph, kept: Set[str]) -> None:
    for name in [node.name for node in graph if node.op in _MATCHERS]:
        node = graph.get(name)
        if node is None:
            continue
        for match in _MATCHERS[node.op]:
            matcher = _Matcher(graph, kept)
            found = match(matcher, node)
            if found is not None:
                graph.replace(found)
                matcher.remove_inside()
                break


class _Matcher:
    """Looks from a node upwards, and remembers what it has gone through."""

    def __init__(self, graph: Graph, kept: Set[str]) -> None:
        self.graph = graph
        self._kept = kept
        self._inside: list[str] = []

    def scaled(self, node: Node | None, ops: Set[str], number: float) -> str | None:
        """The other operand, if ``node`` is one of ``ops`` with the constant ``number``."""
        if node is None or node.op not in ops:
            return None
        for constant, other in (node.inputs, node.inputs[::-1]):
            array = self.graph.value(constant)
            if array is not None and array.size == 1 and _is(array, number):
                shape = self.graph.shape_of(other)
                return other if array.ndim <= len(shape or ()) else None
        return None

    def into(self, tensor: str | None) -> Node | None:
        """The node behind ``tensor``, if it is read here alone."""
        node = None if tensor is None else self.graph.find_producer(tensor)
        if node is None or node.output in self._kept or len(self.graph.readers(node.output)) != 1:
            return None
        self._inside.append(node.name)
        return node

    def remove_inside(self) -> None:
        for name in self._inside:
            if name in self.graph and not self.graph.consumers(name):
                self.graph.remove(name)


def _is(array: Array, number: float) -> bool:
    """Whether the one element of ``array`` is ``number``, but for what its dtype rounds off."""
    rounding = 0.0 if array.dtype.kind in "iu" else 4 * float(ml_dtypes.finfo(array.dtype).eps)
    return bool(abs(array.flat[0] - number) <= rounding * abs(number))


def _made(node: Node, op: str, x: str, **attrs: object) -> Node:
    return Node(node.name, op, (x,), {"T": node.attrs["T"], **attrs})


def _hard_sigmoid(matcher: _Matcher, node: Node) -> Node | None:
    clipped = matcher.scaled(node, _PRODUCT, 1 / 6)
    if clipped is None:
        clipped = node.inputs[0] if matcher.scaled(node, {"RealDiv"}, 6) == node.inputs[0] else None
    relu = matcher.into(clipped)
    if relu is None or relu.op != "Relu6":
        return None
    x = matcher.scaled(matcher.into(relu.inputs[0]), _SUM, 3)
    return None if x is None else _made(node, "HardSigmoid", x)


def _clipped_relu(matcher: _Matcher, node: Node) -> Node | None:
    positive = matcher.into(matcher.scaled(node, {"Minimum"}, 6))
    if positive is None:
        return None
    x = positive.inputs[0] if positive.op == "Relu" else matcher.scaled(positive, {"Maximum"}, 0)
    return None if x is None else _made(node, "Relu6", x)


def _leaky_relu(matcher: _Matcher, node: Node) -> Node | None:
    if node.attrs["T"] == FLOAT64:  # the attribute is a float32
        return None
    for x, scaled in (node.inputs, node.inputs[::-1]):
        product = matcher.graph.find_producer(scaled)
        if product is None or product.op != "Mul" or x not in product.inputs:
            continue
        slope = matcher.graph.value(product.inputs[1] if product.inputs[0] == x else product.inputs[0])
        if slope is not None and slope.ndim == 0 and 0 < slope < 1 and matcher.into(scaled) is not None:
            return _made(node, "LeakyRelu", x, alpha=float(slope))
    return None


def _gelu(matcher: _Matcher, node: Node) -> Node | None:
    """``(0.5 · x) · (1 + …)``, as TensorFlow's own function writes it, in either order.

    Not of float64, in which the constants that TensorFlow writes are float32's.
    """
    if node.attrs["T"] == FLOAT64:
        return None
    for half, rest in (node.inputs, node.inputs[::-1]):
        x = matcher.scaled(matcher.graph.find_producer(half), _PRODUCT, 0.5)
        if x is None:
            continue
        outer = matcher.into(rest)
        if outer is None or matcher.into(half) is None:
            continue
        if outer.op == "Erfc" and _is_argument_of_erfc(matcher, outer.inputs[0], x):
            return _made(node, "Gelu", x, approximate="none")
        inner = matcher.into(matcher.scaled(outer, _SUM, 1))
        if inner is None:
            continue
        if inner.op == "Erf" and _is_argument_of_erf(matcher, inner.inputs[0], x):
            return _made(node, "Gelu", x, approximate="none")
        if inner.op == "Tanh" and _is_argument_of_tanh(matcher, inner.inputs[0], x):
            return _made(node, "Gelu", x, approximate="tanh")
    return None


def _is_argument_of_erf(matcher: _Matcher, tensor: str, x: str) -> bool:
    node = matcher.into(tensor)
    if node is not None and node.op == "RealDiv":
        return node.inputs[0] == x == matcher.scaled(node, {"RealDiv"}, sqrt(2))
    return matcher.scaled(node, _PRODUCT, sqrt(0.5)) == x


def _is_argument_of_erfc(matcher: _Matcher, tensor: str, x: str) -> bool:
    """``1 + erf(a) = erfc(-a)``, with the sign in a node of its own or in the factor."""
    scaling = matcher.into(tensor)
    if matcher.scaled(scaling, _PRODUCT, -sqrt(0.5)) == x:
        return True
    negated = matcher.into(matcher.scaled(scaling, _PRODUCT, sqrt(0.5)))
    return negated is not None and negated.op == "Neg" and negated.inputs[0] == x


def _is_argument_of_tanh(matcher: _Matcher, tensor: str, x: str) -> bool:
    total = matcher.into(matcher.scaled(matcher.into(tensor), _PRODUCT, sqrt(2 / pi)))
    if total is None or total.op not in _SUM or x not in total.inputs:
        return False
    cubed = total.inputs[1] if total.inputs[0] == x else total.inputs[0]
    power = matcher.into(matcher.scaled(matcher.into(cubed), _PRODUCT, 0.044715))
    return power is not None and power.inputs[0] == x == matcher.scaled(power, {"Pow"}, 3)


_MATCHERS: dict[str, tuple[Callable[[_Matcher, Node], Node | None], ...]] = {
    "Mul": (_hard_sigmoid, _gelu),
    "RealDiv": (_hard_sigmoid,),
    "Minimum": (_clipped_relu,),
    "Maximum": (_leaky_relu,),
}

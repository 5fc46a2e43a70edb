"""Batch moments in primitives replaced by the moving averages that the graph keeps of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnfold.graph import Graph, Node, Shape, constant, node_name
from bnfold.graph.dtypes import INT32
from bnfold.inference.binding import Averages, Bound, check_shape, read_variable
from bnfold.inference.counts import bessel_corrected
from bnfold.inference.levels import REDUCTIONS, Level, Levels, reduced_axes
from bnfold.inference.naming import layer_name
from bnfold.inference.variables import source_of, static_size

CENTRING = frozenset({"Sub", "SquaredDifference"})
CENTRED = REDUCTIONS | CENTRING | {"Square"}
"""Ops from data to its mean and variance."""


class MomentBinder:
    """Replaces, in place, every batch statistic of a forward graph that some variable averages.

    Parameters
    ----------
    forward : Graph
        Pruned to the outputs, with ``types``; edited.
    whole : Graph
        The training graph.
    averages : Averages
    """

    def __init__(self, forward: Graph, whole: Graph, averages: Averages) -> None:
        self.forward = forward
        self.whole = whole
        self.averages = averages
        self.evidence: dict[str, str] = {}
        """Of each variable bound."""

    def bind(self) -> None:
        """Go with the data: what is computed from statistics already bound (the deviation) is none of its own."""
        levels = Levels(self.forward)
        position = {node.name: index for index, node in enumerate(self.forward.topological())}
        averaged = [tensor for tensor in self.averages.tensors() if node_name(tensor) in position]
        for tensor in sorted(averaged, key=lambda t: position[node_name(t)]):
            if self.forward.readers(tensor) and self.is_statistic(tensor, levels) and self.is_of_data(tensor, levels):
                self.bind_tensor(tensor)

    def bind_tensor(self, tensor: str) -> None:
        layer = layer_name(node_name(tensor))
        bound = self.averages.keeper(tensor, layer)
        if bound is not None:
            self.put(tensor, bound, layer)

    def is_statistic(self, tensor: str, levels: Levels) -> bool:
        """Whether ``tensor`` belongs to the batch, or has a true moving average and is a moment along any axes."""
        if levels[tensor] is Level.STATISTIC:
            return True
        if levels[tensor] is not Level.DATA or not self.averages.is_averaged(tensor):
            return False
        shape = self.forward.shape_of(tensor)
        if shape is not None and None not in shape and sum(size != 1 for size in shape) <= 1:
            return True
        return is_moment(self.forward, tensor) and self.may_be_kept_whole(tensor)

    def may_be_kept_whole(self, tensor: str) -> bool:
        """Whether the variables that average ``tensor`` have its shape: of a sample's own moments they average more.

        Of virtual batches they average more, too, but there the first axis counts no samples.
        """
        shape = self.forward.shape_of(tensor)
        if shape is None:
            return True
        kept = [self.whole[name].attrs.get("shape") for name in self.averages.keepers(tensor)]
        if all(_is_same(shape, each) for each in kept):
            return True
        return is_of_virtual_batches(self.forward, tensor) and all(_is_same(shape[1:], each) for each in kept)

    def is_of_data(self, tensor: str, levels: Levels) -> bool:
        """Whether a statistic is still computed from data, given what has been bound so far."""
        if levels[tensor] is Level.DATA and is_moment(self.forward, tensor):
            return True
        stack, seen = [node_name(tensor)], set[str]()
        while stack:
            node = self.forward.get(stack.pop())
            if node is None or node.name in seen or levels.of_node(node.name) is Level.CONSTANT:
                continue
            seen.add(node.name)
            if levels.takes_down(node):
                return True
            stack.extend(node_name(t) for t in node.inputs)
        return False

    def put(self, tensor: str, bound: Bound, layer: str) -> None:
        """Make the readers of the statistic ``tensor`` read the variable that is ``bound`` to it.

        Raises
        ------
        InferenceError
            When the variable has another size.
        """
        shape = self.forward.shape_of(tensor)
        variable = self.whole[bound.variable]
        channels = static_size(shape)
        check_shape(layer, "statistic", bound, variable.attrs.get("shape"), channels)
        value = read_variable(self.forward, self.whole, bound.variable)
        value = self.cast(value, variable, tensor)
        value = self.reshape(value, variable.attrs.get("shape"), shape, tensor)
        for statistic in (tensor, *bessel_corrected(self.forward, tensor)):
            self.forward.redirect(statistic, value)
        self.evidence[bound.variable] = bound.evidence

    def cast(self, value: str, variable: Node, tensor: str) -> str:
        held, wanted = variable.attrs["dtype"], self.forward.types[tensor].dtype
        if held == wanted:
            return value
        name = self.forward.fresh_name(f"{variable.name}/Cast")
        return self.forward.add(Node(name, "Cast", (value,), {"SrcT": held, "DstT": wanted, "Truncate": False})).output

    def reshape(self, value: str, held: Shape | None, wanted: Shape | None, tensor: str) -> str:
        """``value`` in the rank of the statistic it stands for: moments may keep the reduced axes."""
        if wanted is None or held == wanted:
            return value
        stem = f"{node_name(tensor)}/moving"
        sizes = [-1 if size is None else size for size in wanted]
        shape = self.forward.add(constant(self.forward.fresh_name(f"{stem}/shape"), np.array(sizes, np.int32), INT32))
        attrs = {"T": self.forward.types[tensor].dtype, "Tshape": INT32}
        name = self.forward.fresh_name(stem)
        return self.forward.add(Node(name, "Reshape", (value, shape.output), attrs)).output


def _is_same(shape: Shape, other: Shape | None) -> bool:
    """Whether two shapes may be alike but for sizes of one."""
    if other is None:
        return False
    long, wide = ([size for size in each if size != 1] for each in (shape, other))
    return len(long) == len(wide) and all(a is None or a == b for a, b in zip(long, wide, strict=True))


def is_moment(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is a mean that is subtracted from what it is the mean of, or a mean of squares.

    So it is where the batch is no first axis (columns for samples, one norm for each step of a sequence), or where
    the rank is not known.
    """
    node = graph.find_producer(source_of(graph, tensor))
    if node is None or node.op not in REDUCTIONS:
        return False
    reduced = node.inputs[0]
    inner = graph.find_producer(reduced)
    if inner is not None and inner.op in ("SquaredDifference", "Square"):
        return True
    others = (t for reader in graph.readers(reduced) if reader.op in CENTRING for t in reader.inputs if t != reduced)
    return any(source_of(graph, other) == node.output for other in others)


def is_of_virtual_batches(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is reduced over the second axis of data whose batch a Reshape has cut into several."""
    node = graph.producer_of(source_of(graph, tensor))
    axes = reduced_axes(graph, node) if node.op in REDUCTIONS else None
    while axes is not None and 1 in axes and node.inputs and node.op in CENTRED:
        node = graph.producer_of(node.inputs[0])
    if node.op != "Reshape":
        return False
    before, after = graph.shape_of(node.inputs[0]), graph.shape_of(node.output)
    return before is not None and after is not None and before[1:] == after[2:]


def drop_renormalisation(forward: Graph, averages: Averages, bound: Mapping[str, str]) -> None:
    """Make batch renormalisation's corrections ``r`` and ``d`` one and zero, in place.

    ``r = stop_gradient(clip(deviation / renorm_deviation))`` multiplies gamma and
    ``d = stop_gradient(clip((mean − renorm_mean) / renorm_deviation))`` shifts; both compare the batch with averages
    that only training reads. Sergey Ioffe, "Batch Renormalization", 2017, algorithm 1: at inference there are none.
    Both belong to the batch: a StopGradient of data, or of the vectors of a spectral norm, is neither.
    """
    stops = [node for node in forward if node.op == "StopGradient"]
    if not stops:
        return
    levels = Levels(averages.forward)
    means, deviations = averages.read_in_training(bound)
    for node in stops:
        if levels.of_node(node.name) is not Level.STATISTIC:
            continue
        behind = forward.ancestors([node.output])
        if behind & deviations:
            value = 0.0 if behind & means else 1.0
            dtype = node.attrs["T"]
            forward.replace(constant(node.name, np.array(value, dtype=dtype.numpy), dtype))

"""Where it goes wrong: every tensor that both sides have, in order, and the first that diverges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Graph, Node, node_name
from bnfold.graph.stages import Fate, Folded, InferenceGraph
from bnfold.samples.session import Reference, Truth
from bnfold.verify.channels import Noise, channel_axis
from bnfold.verify.compare import distances, is_inexact, scales
from bnfold.verify.report import Tolerance
from bnfold.verify.runtime import OnnxModel, Runtime
from bnfold.verify.tolerance import kernel_error
from bnfold.verify.trace import LayerFigure, LayerTrace

AT_ONCE = 64
"""Tensors fetched in one run: all of them at once would hold every activation of the network in memory."""

REWRITTEN = 1e-2
"""A tensor that means something else in the file differs by more than this, and what reads it by less than this share
of that. A smaller error that is not seen in the tensors after it is a fault all the same, drowned in their rounding."""

SOURCES = ("Const", "Placeholder", "PlaceholderWithDefault")


def trace(
    reference: InferenceGraph,
    file: OnnxModel,
    feeds: Mapping[str, Array],
    file_feeds: Mapping[str, Array],
    limit: Tolerance,
    *,
    fates: Sequence[Fate] = (),
) -> LayerTrace:
    """Compare every float tensor that TensorFlow's graph and the file both name, on one batch.

    onnxruntime runs with its optimisations off (they would remove the tensors). A tensor diverges when in some
    channel its error against the float64 graph is out of proportion to TensorFlow's own (`bnfold.verify.channels`);
    without float64, when it is farther from TensorFlow's than the tolerance. What a fold has rewritten on purpose
    is not compared: the tensors between a batch norm and the layer that absorbed it.

    Parameters
    ----------
    reference : InferenceGraph
    file : OnnxModel
    feeds, file_feeds : mapping of str to ndarray
        The same batch, by the reference's tensors and by the file's inputs.
    limit : Tolerance
    fates : sequence of Folded or Kept
        What became of each batch norm; without it, a tensor that differs while all that follows agrees is taken for
        rewritten.

    Returns
    -------
    LayerTrace
        Empty when the two sides have no name in common.
    """
    graph = reference.graph
    rewritten = rewritten_tensors(reference, fates)
    pairs = {tensor: name for tensor, name in shared_names(graph, file).items() if tensor not in rewritten}
    if not pairs:
        return LayerTrace((), None, None, (), (), ())
    figures = list(_figures(reference, file, feeds, file_feeds, pairs, limit))
    figures = _mark_rewritten(graph, figures)
    first = next((figure for figure in figures if figure.diverges), None)
    if first is None:
        return LayerTrace(tuple(figures), None, None, (), (), ())
    good = {figure.name for figure in figures if not figure.diverges and not figure.rewritten}
    between, last_good = suspects(graph, first.name, good)
    names = {node.name for node in between}
    norms = tuple(norm.name for norm in reference.batch_norms if names & {*norm.nodes, node_name(norm.y)})
    return LayerTrace(
        layers=tuple(figures),
        first=first.name,
        last_good=last_good,
        between=tuple(f"{node.name} ({node.op})" for node in between),
        file_nodes=tuple(_file_nodes(file, first.onnx_name, {pairs[name] for name in good})),
        batch_norms=norms,
    )


def shared_names(graph: Graph, file: OnnxModel) -> dict[str, str]:
    """The file's name for each float tensor of ``graph`` that it computes, in topological order."""
    computed = {name for node in file.proto.graph.node for name in node.output if name}
    pairs = {}
    for node in graph.topological():
        if node.op in SOURCES:
            continue
        for tensor in [node.output, *(t for t in graph.outputs_read(node.name) if t != node.output)]:
            found = graph.types.get(tensor)
            if found is None or not found.dtype.is_floating:
                continue
            stem = node.name if tensor == node.output else tensor
            if (name := next((n for n in (tensor, stem) if n in computed), None)) is not None:
                pairs[tensor] = name
    return pairs


def rewritten_tensors(reference: InferenceGraph, fates: Iterable[Fate]) -> set[str]:
    """Tensors whose values a fold changes on purpose: all between the batch norm and the layer that absorbed it."""
    graph = reference.graph
    ends = {norm.name: (norm.x, norm.y) for norm in reference.batch_norms}
    changed: set[str] = set()
    for fate in fates:
        if not isinstance(fate, Folded):
            continue
        x, y = ends.get(fate.name, (None, None))
        if y is None and fate.name in graph:
            x = y = graph[fate.name].output
        if x is None or y is None:
            continue
        for name in fate.into:
            if name in graph:
                changed |= _between(graph, graph[name], x, y)
    return changed


def _between(graph: Graph, linear: Node, x: str, y: str) -> set[str]:
    before_norm, before_linear = graph.ancestors([y]), graph.ancestors(linear.inputs)
    if linear.name in before_norm:  # folded into what comes before: the batch norm's own output is what it was
        names = (graph.descendants([linear.output]) & before_norm) | {linear.name}
        names.discard(node_name(y))
    else:
        inside = graph.ancestors([y], stop=[x])
        names = (graph.descendants([y]) & before_linear) | inside
    return {graph[name].output for name in names}


def suspects(graph: Graph, tensor: str, good: set[str]) -> tuple[list[Node], str | None]:
    """The ops between ``tensor`` and the nearest tensors known to be good, and the last of these."""
    nodes = graph.topological([tensor], stop=good)
    between = [node for node in nodes if node.op not in SOURCES]
    borders = [name for node in between for name in node.inputs if name in good]
    return between, borders[-1] if borders else None


# The figures


def _figures(
    reference: InferenceGraph,
    file: OnnxModel,
    feeds: Mapping[str, Array],
    file_feeds: Mapping[str, Array],
    pairs: Mapping[str, str],
    limit: Tolerance,
) -> Iterator[LayerFigure]:
    tensorflow, runtime = Reference(reference), file.session("off", extra_outputs=list(pairs.values()))
    truth = _truth(reference)
    noise = Noise()
    try:
        for chunk in _chunks(list(pairs)):
            values = _Values.of(tensorflow, truth, runtime, chunk, pairs, feeds, file_feeds)
            for tensor in chunk:
                figure = _figure(tensor, pairs[tensor], reference.graph, values)
                if figure is None:
                    continue
                yield _judged(figure, values, limit, noise, reference.graph)
    finally:
        tensorflow.close()
        if truth is not None:
            truth.close()


def _truth(reference: InferenceGraph) -> Truth | None:
    try:
        return Truth(reference)
    except VerificationError:
        return None


@dataclass
class _Values:
    """The tensors of one chunk, on every side."""

    expected: dict[str, Array] = field(default_factory=dict)
    truth: dict[str, Array] = field(default_factory=dict)
    found: dict[str, Array] = field(default_factory=dict)

    @staticmethod
    def of(
        tensorflow: Reference,
        truth: Truth | None,
        runtime: Runtime,
        chunk: Sequence[str],
        pairs: Mapping[str, str],
        feeds: Mapping[str, Array],
        file_feeds: Mapping[str, Array],
    ) -> _Values:
        values = _Values()
        values.expected = dict(zip(chunk, tensorflow.run(feeds, chunk), strict=True))
        found = runtime.run([pairs[tensor] for tensor in chunk], file_feeds)
        values.found = dict(zip(chunk, found, strict=True))
        if truth is not None:
            values.truth = dict(zip(chunk, truth.run(feeds, chunk), strict=True))
        return values


def _figure(tensor: str, name: str, graph: Graph, values: _Values) -> LayerFigure | None:
    expected, found = values.expected[tensor], values.found[tensor]
    if not is_inexact(expected) or not expected.size:
        return None
    node = graph.producer_of(tensor)
    aligned = _aligned(expected, found)
    (scale,) = scales(expected, 1)
    if aligned is None:
        return LayerFigure(tensor, name, node.op, scale, np.inf, np.inf, None, None, note=f"shape {found.shape}")
    (difference,) = distances(expected, aligned, 1)
    onnx_error = tensorflow_error = None
    if tensor in values.truth:
        exact = np.where(np.isfinite(expected), values.truth[tensor], expected)
        onnx_error = _relative(distances(exact, aligned, 1)[0], scale)
        tensorflow_error = _relative(distances(exact, expected, 1)[0], scale)
    relative = _relative(difference, scale)
    return LayerFigure(tensor, name, node.op, scale, difference, relative, onnx_error, tensorflow_error)


def _judged(figure: LayerFigure, values: _Values, limit: Tolerance, noise: Noise, graph: Graph) -> LayerFigure:
    """``figure`` with the verdict: by channels against float64, else by the tolerance.

    The tolerance alone where it has no float64 rule: for half precision, and when the caller set it.
    """
    name = figure.name
    if figure.note or limit.factor is None or name not in values.truth:
        return replace(figure, allowed=limit.rtol, diverges=not figure.relative <= limit.rtol)
    aligned = _aligned(values.expected[name], values.found[name])
    assert aligned is not None
    axis, own = channel_axis(graph, name), kernel_error(graph, name)
    excess, channel = noise.judge(values.truth[name], values.expected[name], aligned, axis, own)
    return replace(figure, allowed=noise.allowed, excess=excess, channel=channel, diverges=not excess <= 1.0)


def _relative(distance: float, scale: float) -> float:
    if distance == 0.0:
        return 0.0
    return distance / scale if scale else float("inf")


def _aligned(expected: Array, found: Array) -> Array | None:
    """``found`` in the layout of ``expected``: the file may hold it channels first. None when no order fits."""
    rank = expected.ndim
    if found.ndim != rank:
        return None
    orders = [tuple(range(rank))]
    if rank >= 3:
        orders += [(0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))]
    fitting = [turned for order in orders if (turned := found.transpose(order)).shape == expected.shape]
    # Where the sizes leave more than one order possible, the right one is the one that agrees.
    return min(fitting, key=lambda turned: distances(expected, turned, 1)[0], default=None)


def _mark_rewritten(graph: Graph, figures: Sequence[LayerFigure]) -> list[LayerFigure]:
    """A tensor that differs, while the next tensors that read it hardly do, was rewritten and is no fault."""
    by_name = {figure.name: figure for figure in figures}
    healed: dict[str, bool] = {}
    for figure in reversed(figures):
        following = _next_compared(graph, figure.name, by_name)
        gone = all(
            by_name[name].relative <= REWRITTEN * figure.relative or healed.get(name, False) for name in following
        )
        healed[figure.name] = figure.relative > REWRITTEN and bool(following) and gone
    return [
        replace(figure, diverges=False, rewritten=True) if figure.diverges and healed[figure.name] else figure
        for figure in figures
    ]


def _next_compared(graph: Graph, tensor: str, compared: Mapping[str, LayerFigure]) -> list[str]:
    """The nearest tensors after ``tensor`` that are compared."""
    found: dict[str, None] = {}
    pending, seen = [tensor], {tensor}
    while pending:
        for reader in graph.readers(pending.pop()):
            outputs = [reader.output, *graph.outputs_read(reader.name)]
            if hits := [output for output in outputs if output in compared]:
                found |= dict.fromkeys(hits)
                continue
            new = [output for output in outputs if output not in seen]
            seen.update(new)
            pending += new
    return list(found)


def _file_nodes(file: OnnxModel, name: str, good: set[str]) -> Iterator[str]:
    """The file's ops between ``name`` and the tensors known to be good."""
    producers = {output: node for node in file.proto.graph.node for output in node.output}
    pending, seen = [name], {name}
    while pending:
        node = producers.get(pending.pop())
        if node is None:
            continue
        yield f"{node.name or node.output[0]} ({node.op_type})"
        for tensor in node.input:
            if tensor not in good and tensor not in seen:
                seen.add(tensor)
                pending.append(tensor)


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), AT_ONCE):
        yield names[start : start + AT_ONCE]

"""Making the moves of a plan on the graph.

A tensor that keeps its name keeps its value, with one exception: the raw output of a linear op that took a map, whose
bias carries the value and, behind a batch norm, its name. What lies between is renamed with `CHANGED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnfold.fold.algebra import Affine
from bnfold.fold.batch_norm import is_fused_batch_norm
from bnfold.fold.forge import Forged
from bnfold.fold.plan import Compose, Merge, Pass, Plan, Rewrite
from bnfold.fold.row import Kernel
from bnfold.fold.rules import LINEAR_OPS
from bnfold.fold.scene import Chain, Scene
from bnfold.fold.worth import is_shared
from bnfold.graph import Array, DType, Node, TensorType, node_name, output_index
from bnfold.graph.dtypes import FLOAT32

FUSED = "FusedBatchNormV3"

UNIT_EPSILON = 2.0**-10
"""1 - 2⁻¹⁰ + 2⁻¹⁰ is 1 in float32 too, and cuDNN wants an epsilon of at least 1e-5."""

CHANGED = "folded"
"""Suffix of the nodes between a map and the op that took it: they compute the same op on other values."""


class Surgeon:
    """Edits the graph of ``scene``; one call makes one plan."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.graph = scene.graph

    # The two directions

    def move_backward(self, chain: Chain, plan: Plan, forged: Sequence[Forged]) -> None:
        """Take ``chain`` away; what comes before it gives its values, under the name of ``chain.y``."""
        name = node_name(chain.y)
        self._bypass(chain)
        x = self._apply(plan, chain.x)
        named = False
        for each in forged:
            self._set_kernel(each)
            if each.bias is not None:
                linear = self.graph[each.move.node]
                direct = linear.output == x
                self._add_bias(linear, each.bias, name if direct else f"{linear.name}/biased")
                named = named or direct
        if not named:
            self._give_name(x, name, changed=bool(plan))
        self._mark_changed(plan)

    def move_forward(self, chain: Chain, plan: Plan, forged: Sequence[Forged]) -> None:
        """Take ``chain`` away; what comes after it makes up for it."""
        self._bypass(chain)
        self._finish_forward(plan, forged, chain.x)

    def _finish_forward(self, plan: Plan, forged: Sequence[Forged], x: str) -> None:
        self._apply(plan, x)
        for each in forged:
            self._set_kernel(each)
            if each.bias is not None:
                self._extend_bias(self.graph[each.move.node], each.bias)
        self._mark_changed(plan)

    def split_forward(self, chain: Chain, rest: Affine, plan: Plan, forged: Sequence[Forged]) -> None:
        """Leave ``rest`` of ``chain`` where it is; what comes after it makes up for the other part."""
        self.write_as_one(chain, rest)
        self._rename(node_name(chain.y), f"{node_name(chain.y)}/{CHANGED}")
        self._finish_forward(plan, forged, chain.x)

    def write_as_one(self, chain: Chain, map_: Affine, layout: str | None = None) -> None:
        """Put ``map_`` in the place of ``chain``: as one batch norm if it has a ``layout``, else by Mul and AddV2."""
        fused = (self.graph[name] for name in chain.nodes if is_fused_batch_norm(self.graph[name]))
        self._write_map(node_name(chain.y), chain.x, map_, layout, next(fused, None))
        for name in reversed(chain.nodes[:-1]):
            self._remove(name, chain.x)

    # Moves

    def _apply(self, plan: Plan, x: str) -> str:
        """Make the moves that only rearrange; the tensor that ``x`` has become."""
        for move in plan:
            node = self.graph[move.node]
            if isinstance(move, Merge):
                step = self.scene.step(node)
                assert step is not None
                self._remove(node.name, step.x)
                x = step.x if x == node.output else x
            elif isinstance(move, Compose):
                step = self.scene.step(node)
                assert step is not None
                fused = is_fused_batch_norm(node)
                layout = str(node.attrs["data_format"]) if fused else None
                self._write_map(node.name, step.x, move.map, layout, node if fused else None)
            elif isinstance(move, Rewrite):
                value = self.scene.exact.value(node.inputs[move.position])
                assert value is not None
                self._set_operand(node, move.position, move.map(value))
            elif isinstance(move, Pass):
                self._pass(node, move)
        return x

    def _pass(self, node: Node, move: Pass) -> None:
        for position, value in move.passage.operands.items():
            node = self._set_operand(node, position, value)
        if move.passage.op:
            self.graph.replace(replace(node, op=move.passage.op))

    def _bypass(self, chain: Chain) -> None:
        for name in reversed(chain.nodes):
            self._remove(name, chain.x)

    def _remove(self, name: str, x: str) -> None:
        """Take node ``name`` away; its readers read ``x``."""
        for tensor in self.graph.outputs_read(name):
            self.graph.redirect(tensor, x)
        self.graph.remove(name)

    def _write_map(self, name: str, x: str, map_: Affine, layout: str | None, form: Node | None) -> None:
        """Make node ``name`` give ``map_(x)``: as a batch norm of ``layout`` if it can, else by a Mul and an AddV2."""
        type_ = self.graph.types[f"{name}:0"]
        if layout is not None and map_.varying <= {layout.index("C")}:
            self._write_batch_norm(name, x, map_, layout, form)
            return
        attrs = {"T": type_.dtype}
        if not map_.is_shift:
            last = name if map_.is_scale else self.graph.fresh_name(f"{name}/scaled")
            factor = self._constant(f"{name}/scale", map_.scale, type_.dtype)
            x = self._put(Node(last, "Mul", (x, factor), attrs), type_, near=node_name(x)).output
            if name in self.scene.owner:
                self.scene.owner[last] = self.scene.owner[name]
        if not map_.is_scale or map_.is_identity:
            term = self._constant(f"{name}/shift", map_.shift, type_.dtype)
            self._put(Node(name, "AddV2", (x, term), attrs), type_, near=name)

    def _write_batch_norm(self, name: str, x: str, map_: Affine, layout: str, form: Node | None) -> None:
        """One FusedBatchNormV3 that applies ``map_``, with the mean and variance of ``form`` if there is one.

        gamma = scale * sqrt(variance + epsilon)        beta = shift + mean * scale
        """
        type_, axis = self.graph.types[f"{name}:0"], layout.index("C")
        size = type_.shape[axis] if type_.shape is not None else None
        mean, variance, epsilon = np.zeros(size or 0), np.full(size or 0, 1 - UNIT_EPSILON), UNIT_EPSILON
        if form is not None:
            mean, variance = (self._vector(tensor) for tensor in form.inputs[3:5])
            epsilon = form.attrs["epsilon"]
        vectors = map_.along(axis, len(mean))
        assert vectors is not None
        scale, shift = vectors
        values = {"gamma": scale * np.sqrt(variance + epsilon), "beta": shift + mean * scale}
        values |= {"mean": mean, "variance": variance}
        inputs = [self._constant(f"{name}/{key}", value, FLOAT32) for key, value in values.items()]
        attrs = {"T": type_.dtype, "U": FLOAT32, "data_format": layout, "epsilon": epsilon}
        node = Node(name, FUSED, (x, *inputs), {**attrs, "is_training": False, "exponential_avg_factor": 1.0})
        self._put(node, type_, near=name)
        vector = TensorType(FLOAT32, (len(mean),))
        self.graph.types.update({node.tensor(index): vector for index in range(1, 5)})
        self.graph.types[node.tensor(5)] = TensorType(FLOAT32, None)

    def _vector(self, tensor: str) -> Array:
        value = self.scene.exact.value(tensor)
        assert value is not None
        return value

    # Constants

    def _constant(self, name: str, value: Array, dtype: DType) -> str:
        node = self.scene.exact.new(self.graph.fresh_name(name), value, dtype)
        return self._put(node, TensorType(dtype, tuple(value.shape))).output

    def _set_operand(self, node: Node, position: int, value: Array) -> Node:
        tensor = self._constant(f"{node.name}/value", value, self.graph.types[node.output].dtype)
        return self._set_input(node, position, tensor)

    def _set_input(self, node: Node, position: int, tensor: str) -> Node:
        return self.graph.replace(node.with_inputs([*node.inputs[:position], tensor, *node.inputs[position + 1 :]]))

    def _set_kernel(self, each: Forged) -> None:
        new = each.new_kernel
        if new is None:
            return
        node = self.graph[each.move.node]
        source = self.scene.exact.source(each.tensor)
        assert source is not None
        name = self.graph.fresh_name(f"{node.name}/kernel") if is_shared(self.scene, each.tensor) else source.name
        made = self.scene.exact.keep(name, new, source)
        self._set_input(node, each.kernel.position, self._put(made, self.graph.types[source.output]).output)

    # Biases

    def _add_bias(self, linear: Node, bias: Array, name: str) -> None:
        """Add ``bias`` behind ``linear``, for all its readers."""
        readers = [reader.name for reader in self.graph.readers(linear.output)]
        node = self._put_bias(self.graph.fresh_name(name), linear, bias)
        self.graph.redirect(linear.output, node.output, only=readers)

    def _put_bias(self, name: str, linear: Node, bias: Array) -> Node:
        """A node ``name`` that adds ``bias``, of the rank of ``linear``'s output, to it."""
        type_, kernel = self.graph.types[linear.output], self.scene.kernel(linear)
        assert isinstance(kernel, Kernel)
        axis, rank = kernel.output_axis, bias.ndim
        layout = "NHWC" if axis == rank - 1 else "NCHW" if axis == 1 and rank > 3 else None
        size = type_.shape[axis] if type_.shape is not None else None
        if layout is None or size is None or any(n > 1 for a, n in enumerate(bias.shape) if a != axis):
            term = self._constant(f"{name}/bias", bias, type_.dtype)
            return self._put(Node(name, "AddV2", (linear.output, term), {"T": type_.dtype}), type_, near=linear.name)
        term = self._constant(f"{name}/bias", np.broadcast_to(bias.reshape(-1), size), type_.dtype)
        attrs = {"T": type_.dtype, "data_format": layout}
        return self._put(Node(name, "BiasAdd", (linear.output, term), attrs), type_, near=linear.name)

    def _extend_bias(self, linear: Node, bias: Array) -> None:
        """Add ``bias`` behind ``linear``, so that the op behind has the value it had."""
        step = self.scene.bias_of(linear)
        if step is not None:
            self._put_bias(step.node.name, linear, step.map.shift + bias)
        elif linear.output in self.scene.outputs:
            moved = self._rename(linear.name, f"{linear.name}/{CHANGED}")
            self._add_bias(moved, bias, linear.name)
        else:
            self._add_bias(linear, bias, f"{linear.name}/biased")

    # Names

    def _put(self, node: Node, type_: TensorType, near: str | None = None) -> Node:
        """Add ``node``, or put it in the place of the one with its name; it comes just after ``near``."""
        self.graph.types[node.output] = type_
        if near != node.name:
            self.scene.position[node.name] = self.scene.position[near] + 0.5 if near else -1.0
        return self.graph.replace(node) if node.name in self.graph else self.graph.add(node)

    def _give_name(self, x: str, name: str, *, changed: bool) -> None:
        """Let ``x`` be called ``name``: by renaming what computes it, or through an Identity where that cannot be."""
        producer = self.graph.find_producer(x)
        needed = f"{name}:0" in self.scene.outputs
        alone = changed and producer is not None and self._is_own_output(producer, x)
        if producer is not None and alone and (needed or producer.op not in LINEAR_OPS):
            self._rename(producer.name, name)
        elif needed:
            type_ = self.graph.types[x]
            self._put(Node(name, "Identity", (x,), {"T": type_.dtype}), type_, near=node_name(x))

    def _is_own_output(self, producer: Node, x: str) -> bool:
        return (
            output_index(x) == 0
            and set(self.graph.outputs_read(producer.name)) <= {x}
            and "num_split" not in producer.attrs
        )

    def _mark_changed(self, plan: Plan) -> None:
        """Rename what the map went through: it gives other values than under its old name."""
        for move in plan:
            if not isinstance(move, Pass) or move.node not in self.graph:
                continue
            node = self.graph[move.node]
            gives = [node.tensor(index) for index in range(int(node.attrs.get("num_split", 1)))]
            marked = move.node.endswith(f"/{CHANGED}")
            if move.changes_output and not marked and not self.scene.outputs.intersection(gives):
                self._rename(move.node, f"{move.node}/{CHANGED}")

    def _rename(self, old: str, new: str) -> Node:
        node = self.graph[old]
        renamed = self.graph.add(replace(node, name=self.graph.fresh_name(new)))
        for tensor, type_ in [(t, self.graph.types[t]) for t in self._outputs(old)]:
            moved = renamed.tensor(output_index(tensor))
            self.graph.types[moved] = type_
            self.graph.redirect(tensor, moved)
        self.graph.remove(old)
        self.scene.position[renamed.name] = self.scene.position[old]
        if old in self.scene.owner:
            self.scene.owner[renamed.name] = self.scene.owner.pop(old)
        return renamed

    def _outputs(self, name: str) -> list[str]:
        found: list[str] = []
        while f"{name}:{len(found)}" in self.graph.types:
            found.append(f"{name}:{len(found)}")
        return found

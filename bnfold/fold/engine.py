"""The engine over the table: each chain of constant maps goes backward if it can, else forward, else it stays."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from bnfold.errors import FoldError
from bnfold.fold.algebra import Affine, affine
from bnfold.fold.backward import plan_backward
from bnfold.fold.batch_norm import is_fused_batch_norm
from bnfold.fold.bodies import fold_branches
from bnfold.fold.fates import Fates
from bnfold.fold.forge import Forged, fits, forge
from bnfold.fold.forward import Meeting, plan_forward
from bnfold.fold.plan import Absorb, Compose, Plan
from bnfold.fold.precision import cancellation
from bnfold.fold.row import Refused
from bnfold.fold.scene import Chain, Scene
from bnfold.fold.surgery import Surgeon
from bnfold.fold.tidy import kernel_sizes, share_equal_copies, with_plain_constants
from bnfold.fold.worth import (
    GROWTH,
    SMALL,
    Work,
    copies,
    hard_sigmoids,
    is_part_of_another_op,
    work_after,
    work_before,
    work_of_chain,
    work_of_map,
)
from bnfold.graph import node_name
from bnfold.graph.stages import Folding, InferenceGraph

MEETINGS: tuple[Meeting, ...] = ("carry", "pass", "stop")
"""What a map may do at another constant map, in the order tried."""

ROUNDS = 3
"""How often the maps that stayed are looked at again: a fold can clear the way for another."""


def fold_batch_norms(inference: InferenceGraph, *, keep: str | None = None) -> Folding:
    """Fold every constant affine map of the graph that can be folded, batch norms first of all.

    A batch norm at inference is ``scale * x + shift`` with constant vectors. It moves into the kernel and bias of what
    comes before it or, where that cannot be, of what comes after it, by the rows of `bnfold.fold.rules.TABLE`. A move
    is made only if every reader still gets the same numbers and the runtime has less to do.

    Parameters
    ----------
    inference : InferenceGraph
        As `infer` returns it, with types. It is not changed.
    keep : str, optional
        Regular expression; batch norms in whose name it is found are left alone.

    Returns
    -------
    Folding
        The folded graph has the same inputs and outputs, under the same names. One fate for each batch norm.

    Raises
    ------
    ValueError
        When ``keep`` is not a regular expression.
    FoldError
        When no batch norm's name matches ``keep``.
    """
    folding = _Folder(inference, _pattern(keep)).fold()
    return fold_branches(folding, fold_batch_norms)


def _pattern(keep: str | None) -> re.Pattern[str] | None:
    try:
        return None if keep is None else re.compile(keep)
    except re.error as error:
        raise ValueError(f"keep={keep!r} is not a regular expression: {error}") from error


class _Folder:
    def __init__(self, inference: InferenceGraph, keep: re.Pattern[str] | None) -> None:
        self.inference = inference
        graph = with_plain_constants(inference.graph)
        kept = [norm for norm in inference.batch_norms if keep is not None and keep.search(norm.name)]
        if keep is not None and not kept:
            names = [norm.name for norm in inference.batch_norms]
            hint = f"their names: {', '.join(names[:8])}{' …' * (len(names) > 8)}" if names else "the graph has none"
            raise FoldError(f"no batch norm's name matches keep={keep.pattern!r}", hint=hint)
        outputs = [endpoint.tensor for endpoint in inference.outputs]
        self.scene = Scene(graph, outputs, (name for norm in kept for name in norm.nodes))
        self.scene.protected.update(hard_sigmoids(graph, self.scene.exact))
        for norm in inference.batch_norms:
            applying = (name for name in norm.nodes if self.scene.step(graph.get(name)) is not None)
            self.scene.owner.update((name, norm.name) for name in applying)
        self.norms = {norm.name: norm for norm in inference.batch_norms}
        self.surgeon = Surgeon(self.scene)
        self.fates = Fates(self.scene)
        self.fates.keep((norm.name for norm in kept), "kept on request")
        self.sizes = kernel_sizes(graph)
        self.room = max(SMALL, int(GROWTH * sum(self.sizes.values())))
        self.queue: deque[str] = deque()

    def fold(self) -> Folding:
        graph = self.scene.graph
        waiting = [node.name for node in graph.topological() if self.scene.step(node) is not None]
        for _ in range(ROUNDS):
            self.queue.extend(waiting)
            waiting, progress = self._round()
            if not progress:
                break
        share_equal_copies(self.scene)
        tensors = [endpoint.tensor for endpoint in (*self.inference.outputs, *self.inference.inputs)]
        pruned = graph.pruned(tensors)
        pruned.types = {tensor: type_ for tensor, type_ in graph.types.items() if node_name(tensor) in pruned}
        return Folding(
            inference=replace(self.inference, graph=pruned),
            fates=self.fates.of_all(self.inference.batch_norms),
            others=tuple(self.fates.others),
            parameters_added=sum(kernel_sizes(pruned).values()) - sum(self.sizes.values()),
            largest_rounding=self.scene.exact.largest_error(),
        )

    def _round(self) -> tuple[list[str], bool]:
        """Try each node in the queue; the nodes that stay, and whether any chain changed."""
        stayed, progress = [], False
        while self.queue:
            name = self.queue.popleft()
            node = self.scene.graph.get(name)
            chain = self.scene.chain_ending_at(node) if node is not None else None
            if chain is not None and self._fold(chain):
                progress = True
            elif chain is not None:
                stayed.append(name)
        return stayed, progress

    def _fold(self, chain: Chain) -> bool:
        """Fold ``chain`` if it can be, and note its fate; whether the graph changed."""
        norms = self.fates.owners(chain.nodes)
        work = work_of_chain(chain, self.scene)
        if not norms and (not work.passes or is_part_of_another_op(chain, self.scene)):
            return False
        if not work.passes:  # a batch norm that only adds, right behind a linear op: it is that op's bias already
            self.fates.compose(chain.nodes, node_name(chain.x))
            return False
        if not chain.map.is_finite:
            self.fates.keep(norms, "its scale or shift is not a finite number in some channel")
            return False
        plan = plan_backward(chain, self.scene)
        behind = self._make(chain, plan, self.surgeon.move_backward)
        if behind is None:
            return True
        lossy = cancellation(chain.map, [self.norms[norm] for norm in norms])
        reasons = [lossy] if lossy else []
        for meeting in MEETINGS if not lossy else ():
            plan = plan_forward(chain, chain.map, self.scene, meeting)
            before = self._make(chain, plan, self.surgeon.move_forward)
            if before is None:
                return True
            reasons.append(before.reason)
        reason = f"before it, {behind.reason}; after it, {reasons[0]}"
        self.fates.keep(norms, reason)
        return self._split(chain, norms, reason) or (not lossy and self._as_one(chain, norms, reason, work))

    def _make(
        self, chain: Chain, plan: Plan | Refused, move: Callable[[Chain, Plan, Sequence[Forged]], None]
    ) -> Refused | None:
        """Make the moves of ``plan`` if they are legal to the last digit and worth it; else say why not."""
        forged = plan if isinstance(plan, Refused) else self._forge(plan)
        if isinstance(plan, Refused) or isinstance(forged, Refused):
            return forged if isinstance(forged, Refused) else None
        if not work_after(plan, forged, self.scene).less_than(work_before(chain, plan, self.scene)):
            return Refused(f"{_takers(plan)} could take it, but the runtime would have no less to do")
        self.room -= copies(forged, self.scene)
        self.fates.fold(chain, plan)
        move(chain, plan, forged)
        self._look_again(plan)
        return None

    def _forge(self, plan: Plan) -> list[Forged] | Refused:
        """The constants of ``plan``, if they do not add too much."""
        forged = forge(plan, self.scene)
        if isinstance(forged, Refused):
            return forged
        growth = copies(forged, self.scene)
        if growth > self.room:
            return Refused(f"the kernel of {_takers(plan)} is shared, and a copy would add {growth} weights")
        return forged

    def _split(self, chain: Chain, norms: Sequence[str], reason: str) -> bool:
        """Move the scale forward alone, where the shift that stays is fewer ops: s·x + t = s·(x + t/s)."""
        map_ = chain.map
        if map_.is_scale or map_.is_shift or not map_.scale.all() or self.scene.graph[chain.nodes[0]].op == "Cast":
            return False
        rest = affine(np.ones_like(map_.scale), map_.shift / map_.scale)
        if not self._can_write(rest, chain):
            return False
        for meeting in MEETINGS[:2]:
            plan = plan_forward(chain, map_.only_scale(), self.scene, meeting)
            forged = plan if isinstance(plan, Refused) else self._forge(plan)
            if isinstance(plan, Refused) or isinstance(forged, Refused):
                continue
            after = work_after(plan, forged, self.scene) + work_of_map(rest)
            if after.ops < work_before(chain, plan, self.scene).ops:
                self.room -= copies(forged, self.scene)
                self.fates.keep(norms, f"{reason}; its scale alone went into {_takers(plan)}")
                self.surgeon.split_forward(chain, rest, plan, forged)
                self._look_again(plan)
                return True
        return False

    def _as_one(self, chain: Chain, norms: Sequence[str], reason: str, work: Work) -> bool:
        """Write a chain that stays as one map, where that is fewer ops."""
        last, layout = node_name(chain.y), self._batch_norm_layout(chain)
        after = work_of_map(chain.map, fused=layout is not None)
        if layout is None and self.scene.graph[chain.nodes[0]].op == "Cast":
            return False  # a Mul and an Add in the narrow type would round twice
        if not after.less_than(work) or not self._can_write(chain.map, chain):
            return False
        if norms:
            self.scene.owner[last] = norms[-1]
        self.fates.compose(chain.nodes[:-1], last)
        self.surgeon.write_as_one(chain, chain.map, layout)
        self.fates.keep(norms[-1:], reason)
        return True

    def _batch_norm_layout(self, chain: Chain) -> str | None:
        """The data format in which one FusedBatchNormV3 can be ``chain``; None where it has no such form."""
        nodes = [self.scene.graph[name] for name in chain.nodes]
        layouts = [str(node.attrs["data_format"]) for node in nodes if is_fused_batch_norm(node)]
        type_ = self.scene.graph.types[chain.y]
        axes = chain.map.varying
        if not layouts and chain.map.rank == 4 and self.fates.owners(chain.nodes):
            layouts = {frozenset({3}): ["NHWC"], frozenset({1}): ["NCHW"]}.get(axes, [])
        if not layouts or axes - {layouts[0].index("C")} or type_.dtype.name == "float64" or type_.shape is None:
            return None
        return layouts[0] if type_.shape[layouts[0].index("C")] is not None else None

    def _can_write(self, map_: Affine, chain: Chain) -> bool:
        return all(fits(value, self.scene, chain.y) for value in (map_.scale, map_.shift))

    def _look_again(self, plan: Plan) -> None:
        """The maps that took another one may now go where they could not."""
        self.queue.extendleft(move.node for move in plan if isinstance(move, Compose))


def _takers(plan: Plan) -> str:
    return ", ".join(dict.fromkeys(move.node for move in plan if isinstance(move, Absorb | Compose))) or "what is there"

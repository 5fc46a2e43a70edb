"""The stages as the commands call them: each is imported when it runs, timed, and told to an observer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bnfold.artifact import Artifact, FrozenFile, OnnxFile
from bnfold.errors import FoldError
from bnfold.options import CheckOptions, ExportOptions, SourceOptions
from bnfold.target import Target

if TYPE_CHECKING:
    import onnx

    from bnfold.graph.stages import Fate, Folding, InferenceGraph, SourceModel
    from bnfold.verify import CheckReport

T = TypeVar("T")

Observer = Callable[[str, Any], None]
"""Called with a stage's verb and None when it starts, and with the verb and the stage's value when it is done."""


class Stages:
    """Runs the stages, keeps their wall times, tells the observer."""

    def __init__(self, observe: Observer | None) -> None:
        self.seconds: dict[str, float] = {}
        self._observe: Observer = observe or (lambda verb, value: None)

    def compared(self, samples: int) -> None:
        """Tell the observer how far the comparison has come."""
        self._observe(f"verify: {samples} samples", None)

    def run(self, verb: str, work: Callable[[], T], *, tell: Callable[[T], Any] | None = None) -> T:
        """The value of ``work``; the observer is given it, or what ``tell`` makes of it."""
        self._observe(verb, None)
        start = time.perf_counter()
        value = work()
        self.seconds[verb] = time.perf_counter() - start
        self._observe(verb, tell(value) if tell else value)
        return value


# The stages are imported when they run: each brings a heavy package or two.


def load(source: Any, options: SourceOptions) -> SourceModel:
    from bnfold.load import load

    return load(
        source,
        tags=options.tags,
        signature=options.signature,
        rename_variables=options.rename_variables,
        custom_objects=options.custom_objects,
        model=options.model,
    )


def infer(source: SourceModel, options: SourceOptions) -> InferenceGraph:
    from bnfold.inference import infer

    inference = infer(
        source,
        inputs=options.shapes(),
        outputs=options.outputs,
        set_values=options.set_values,
        bind=options.bind,
        missing_statistics=options.missing_statistics,
        weights=options.weights,
    )
    return replace(inference, inputs=tuple(map(options.named, inference.inputs)))


def fold(reference: InferenceGraph, fold: bool, keep: str | None, strict: bool) -> Folding:
    from bnfold.fold import fold_batch_norms
    from bnfold.graph.stages import Folding, Kept

    if not fold:
        return Folding(reference, tuple(Kept(norm.name, "folding was turned off") for norm in reference.batch_norms))
    folding = fold_batch_norms(reference, keep=keep)
    if strict and (kept := [fate for fate in folding.fates if isinstance(fate, Kept)]):
        raise FoldError(
            "kept: " + "; ".join(f"{fate.name} ({fate.reason})" for fate in kept),
            hint="without --strict-fold they stay in the model as ops of their own",
        )
    return folding


def export(
    folding: Folding, target: Target | None, how: ExportOptions, reference: InferenceGraph | None = None
) -> Artifact:
    if target is not None and target.format == "pb":
        return FrozenFile(folding.inference)
    from bnfold.export import DEFAULT_OPSET, lower

    opset = DEFAULT_OPSET if how.opset is None else how.opset
    lowered = lower(folding.inference, opset=opset, layout=how.layout, rename=how.rename, half=how.half)
    return OnnxFile(lowered, folding.inference.graph, None if reference is None else reference.graph)


def verify(
    reference: InferenceGraph,
    candidate: onnx.ModelProto | InferenceGraph | str | Path,
    how: CheckOptions,
    *,
    made: ExportOptions | None = None,
    fates: Sequence[Fate] = (),
    progress: Callable[[int], None] | None = None,
) -> CheckReport:
    from bnfold.graph import tensor_name
    from bnfold.verify import verify

    return verify(
        reference,
        candidate,
        samples=how.samples,
        seed=how.seed,
        rtol=how.rtol,
        atol=how.atol,
        data=how.data,
        exact=how.exact,
        layers=how.layers,
        names={tensor_name(old): new for old, new in made.rename.items()} if made else None,
        half=bool(made and made.half),
        fates=fates,
        progress=progress,
    )


def certify(report: CheckReport, source: str, model: str, fates: Sequence[Fate]) -> dict[str, Any]:
    from bnfold.verify import certificate

    return certificate(report, source=source, model=model, fates=fates)

"""The five stages in order: load, infer, fold, export, verify."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bnfold import __version__, metadata
from bnfold.artifact import Artifact, FrozenFile, OnnxFile
from bnfold.conversion import Conversion
from bnfold.errors import FoldError, InferenceError, OutputsDifferError, VerificationError
from bnfold.graph import node_name, tensor_name
from bnfold.options import SourceKeywords, SourceOptions
from bnfold.results import Inspection, Report, SourceSummary
from bnfold.target import Target

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

    from bnfold.graph.stages import Folding, InferenceGraph, Note, SourceModel
    from bnfold.verify import CheckReport, OnnxModel

T = TypeVar("T")

Observer = Callable[[str, Any], None]
"""Called with a stage's verb and None when it starts, and with the verb and the stage's value when it is done."""


def convert(
    source: Any,
    target: str | Path | None = None,
    *,
    strict: bool = False,
    fold: bool = True,
    keep: str | None = None,
    strict_fold: bool = False,
    opset: int | None = None,
    check: bool = True,
    samples: int = 8,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    observe: Observer | None = None,
    **how: Unpack[SourceKeywords],
) -> Conversion:
    """Convert a TensorFlow model, saved in training, to an ONNX inference model whose outputs equal TensorFlow's.

    Parameters
    ----------
    source : str, Path or model object
        A checkpoint directory, its prefix or ``.meta``; see `bnfold.load.load` for all kinds.
    target : str or Path, optional
        ``.onnx``, or ``.pb`` for the frozen inference graph. Written only when the outputs are equal (or
        ``check`` is False); what was there is replaced at once, never half-written.
    strict : bool
        Make warnings errors.
    fold : bool
        False leaves every batch norm an op of its own.
    keep : str, optional
        Regular expression (searched) of batch norms to leave alone.
    strict_fold : bool
        Raise FoldError if a batch norm is kept.
    opset : int, optional
        ONNX opset; `bnfold.export.DEFAULT_OPSET` when absent.
    check : bool
        Compare with TensorFlow before writing.
    samples : int
        How many random inputs to compare on.
    seed : int
        Of the random inputs.
    rtol, atol : float, optional
        Tolerances in place of the default; see `bnfold.verify.verify`.
    observe : callable, optional
        Told of each stage's start and result.
    **how
        How to read the source: the fields of `bnfold.options.SourceOptions` (``inputs``, ``outputs``,
        ``set_values``, ``bind``, ``missing_statistics``, ``weights`` …).

    Returns
    -------
    Conversion

    Raises
    ------
    LoadError, InferenceError, FoldError, ExportError, VerificationError
        With a hint, and nothing written.
    OutputsDifferError
        When ``target`` is given and the outputs differ; its ``report`` has the figures. Without a target the
        Conversion is returned and its ``report.equal`` is False.
    """
    place = None if target is None else Target.at(target)
    options = SourceOptions(**how)
    stages = _Stages(observe)
    loaded = stages.run("load", lambda: _load(source, options))
    reference = stages.run("infer", lambda: _infer(loaded, options))
    if strict:
        _refuse_warnings(loaded.notes + reference.notes)
    folding = stages.run("fold", lambda: _fold(reference, fold, keep, strict_fold))
    path = None if place is None else place.path
    artifact = stages.run("export", lambda: _export(folding, place, opset), tell=lambda made: made.summary(path))

    def compare(candidate: Any) -> CheckReport | None:
        if not check:
            return None
        return stages.run("verify", lambda: _verify(reference, candidate, samples, seed, rtol, atol))

    def conclude(checked: CheckReport | None) -> Conversion:
        report = Report(
            source=SourceSummary.of(loaded),
            inputs=reference.inputs,
            outputs=reference.outputs,
            batch_norms=reference.batch_norms,
            fates=folding.fates,
            others=folding.others,
            parameters_added=folding.parameters_added,
            largest_rounding=folding.largest_rounding,
            notes=loaded.notes + reference.notes,
            model=artifact.summary(path),
            check=checked,
            seconds=stages.seconds,
            versions=_versions(),
        )
        artifact.describe(metadata.describe(report, options))
        return Conversion(report, reference, folding, artifact)

    if place is None:
        return conclude(compare(artifact.comparable))
    with place.staged() as staged:
        artifact.write(staged)
        conversion = conclude(compare(staged if place.format == "onnx" else artifact.comparable))
        if conversion.report.equal is False:
            raise OutputsDifferError(conversion.report)
        artifact.write(staged)  # once more, now with the check's figures in its metadata
    return conversion


def check(
    source: Any,
    model: str | Path | onnx.ModelProto | None = None,
    *,
    samples: int = 8,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    observe: Observer | None = None,
    **how: Unpack[SourceKeywords],
) -> CheckReport:
    """Compare an ONNX file, whoever wrote it, with the inference graph of its source.

    Parameters
    ----------
    source : str, Path or model object
        As for `convert`. An ``.onnx`` file that bnfold wrote, when ``model`` is None: the source and how it was
        read are then taken from the file's metadata.
    model : str, Path or ModelProto, optional
    samples, seed, rtol, atol, observe
        As for `convert`.
    **how
        How to read the source: the fields of `bnfold.options.SourceOptions`. Inputs and outputs that are absent
        here are those the file names, where the source has tensors of these names.

    Returns
    -------
    CheckReport

    Raises
    ------
    LoadError, InferenceError, VerificationError
    """
    from bnfold.verify import OnnxModel

    options = SourceOptions(**how)
    stages = _Stages(observe)
    origin = None
    if model is None:
        model = Path(source)
        source, origin = _written_by_bnfold(model)
        options = origin.options
    candidate = OnnxModel(model)
    loaded = stages.run("load", lambda: _load(source, options))
    if origin is not None and origin.fingerprint != loaded.fingerprint:
        raise VerificationError(
            f"{loaded.label} has changed since {model} was made from it",
            hint="convert it again, or compare all the same: bnfold check SOURCE MODEL.onnx",
        )
    options = _named_by(candidate, loaded, options)
    reference = stages.run("infer", lambda: _infer(loaded, options))
    return stages.run("verify", lambda: _verify(reference, model, samples, seed, rtol, atol))


def inspect(
    source: Any,
    *,
    observe: Observer | None = None,
    **how: Unpack[SourceKeywords],
) -> Inspection:
    """Look at a source: its inputs and outputs, and each batch norm with its statistics and its fate.

    Parameters
    ----------
    source, observe
        As for `convert`.
    **how
        How to read the source: the fields of `bnfold.options.SourceOptions`.

    Returns
    -------
    Inspection

    Raises
    ------
    LoadError, InferenceError
    """
    options = SourceOptions(**how)
    stages = _Stages(observe)
    loaded = stages.run("load", lambda: _load(source, options))
    reference = stages.run("infer", lambda: _infer(loaded, options))
    folding = stages.run("fold", lambda: _fold(reference, True, None, False))
    return Inspection(
        source=SourceSummary.of(loaded),
        inputs=reference.inputs,
        outputs=reference.outputs,
        batch_norms=reference.batch_norms,
        fates=folding.fates,
        notes=loaded.notes + reference.notes,
        ops=FrozenFile(reference).summary(None).ops,
    )


class _Stages:
    """Runs the stages, keeps their wall times, tells the observer."""

    def __init__(self, observe: Observer | None) -> None:
        self.seconds: dict[str, float] = {}
        self._observe: Observer = observe or (lambda verb, value: None)

    def run(self, verb: str, work: Callable[[], T], *, tell: Callable[[T], Any] | None = None) -> T:
        """The value of ``work``; the observer is given it, or what ``tell`` makes of it."""
        self._observe(verb, None)
        start = time.perf_counter()
        value = work()
        self.seconds[verb] = time.perf_counter() - start
        self._observe(verb, tell(value) if tell else value)
        return value


# The stages are imported when they run: each brings a heavy package or two.


def _load(source: Any, options: SourceOptions) -> SourceModel:
    from bnfold.load import load

    return load(
        source,
        tags=options.tags,
        signature=options.signature,
        rename_variables=options.rename_variables,
        custom_objects=options.custom_objects,
        model=options.model,
    )


def _infer(source: SourceModel, options: SourceOptions) -> InferenceGraph:
    from bnfold.inference import infer

    return infer(
        source,
        inputs=options.inputs,
        outputs=options.outputs,
        set_values=options.set_values,
        bind=options.bind,
        missing_statistics=options.missing_statistics,
        weights=options.weights,
    )


def _fold(reference: InferenceGraph, fold: bool, keep: str | None, strict: bool) -> Folding:
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


def _export(folding: Folding, target: Target | None, opset: int | None) -> Artifact:
    if target is not None and target.format == "pb":
        return FrozenFile(folding.inference)
    from bnfold.export import DEFAULT_OPSET, export

    return OnnxFile(export(folding.inference, opset=opset or DEFAULT_OPSET))


def _verify(
    reference: InferenceGraph,
    candidate: onnx.ModelProto | InferenceGraph | str | Path,
    samples: int,
    seed: int,
    rtol: float | None,
    atol: float | None,
) -> CheckReport:
    from bnfold.verify import verify

    return verify(reference, candidate, samples=samples, seed=seed, rtol=rtol, atol=atol)


def _refuse_warnings(notes: tuple[Note, ...]) -> None:
    warnings = [note for note in notes if note.level == "warning"]
    if warnings:
        raise InferenceError(
            "; ".join(note.message for note in warnings),
            hint="without --strict this is a warning",
        )


def _written_by_bnfold(path: Path) -> tuple[Path, metadata.Origin]:
    """The source of the model at ``path``, and how it was read, from the file's metadata."""
    from bnfold.verify import OnnxModel

    origin = metadata.origin(OnnxModel(path).proto)
    if origin.path is None:
        raise VerificationError(f"{path} was made from an object in memory", hint="bnfold.check(object, model)")
    places = (Path(origin.path), path.parent / origin.path)
    if (source := next((place for place in places if _exists(place)), None)) is None:
        raise VerificationError(
            f"the source of {path}, {origin.path}, is not there any more",
            hint="bnfold check SOURCE MODEL.onnx names the source by hand",
        )
    return source, origin


def _exists(source: Path) -> bool:
    """Whether ``source`` is a file, a folder or the prefix of a checkpoint."""
    return source.exists() or source.with_name(source.name + ".index").exists()


def _named_by(model: OnnxModel, source: SourceModel, options: SourceOptions) -> SourceOptions:
    """``options`` with the inputs and outputs that ``model`` names, where ``source`` has tensors of these names."""
    inputs = [tensor_name(value.name) for value in model.inputs]
    outputs = [tensor_name(value.name) for value in model.outputs]
    if options.inputs is None and all(node_name(name) in source.graph for name in inputs):
        options = replace(options, inputs=dict.fromkeys(inputs))
    if options.outputs is None and all(node_name(name) in source.graph for name in outputs):
        options = replace(options, outputs=outputs)
    return options


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "onnx", "onnxruntime", "numpy")
    return {"bnfold": __version__, **{package: version(package) for package in packages}}

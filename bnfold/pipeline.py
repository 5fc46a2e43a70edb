"""The five stages in order: load, infer, fold, export, verify."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold import __version__, calls, metadata
from bnfold.artifact import FrozenFile
from bnfold.blame import blame
from bnfold.calls import Observer
from bnfold.conversion import Conversion
from bnfold.errors import InferenceError, OutputsDifferError, VerificationError
from bnfold.options import CheckOptions, ExportOptions, ReadingKeywords, SourceKeywords, SourceOptions
from bnfold.provenance import credited, named_by, said_of, written_by_bnfold
from bnfold.results import Inspection, Report, SourceSummary
from bnfold.target import Target, require_apart

if TYPE_CHECKING:
    import onnx
    from typing_extensions import Unpack

    from bnfold.graph.stages import Note
    from bnfold.samples import Data
    from bnfold.verify import CheckReport


def convert(
    source: Any,
    target: str | Path | None = None,
    *,
    strict: bool = False,
    fold: bool = True,
    keep: str | None = None,
    strict_fold: bool = False,
    opset: int | None = None,
    layout: str | Mapping[str, str] = "tensorflow",
    rename: Mapping[str, str] | None = None,
    half: bool = False,
    check: bool = True,
    samples: int = 8,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    data: Data | None = None,
    exact: bool = False,
    layers: bool = False,
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
    layout : {"tensorflow", "nchw"} or mapping of str to these
        How images come in and go out of the file, for all inputs and outputs or by name.
    rename : mapping of str to str, optional
        New names of inputs and outputs, by the old ones.
    half : bool
        Write float16 weights and compute in float16, between inputs and outputs of TensorFlow's dtypes.
    check : bool
        Compare with TensorFlow before writing.
    samples : int
        How many random inputs to compare on.
    seed : int
        Of the random inputs.
    rtol, atol : float, optional
        Tolerances in place of the default; see `bnfold.verify.verify`.
    data : path, ndarray, mapping, or iterable of these, optional
        Samples of your own in place of random ones: ``.npz``, ``.npy``, a folder of images, arrays by input name.
    exact : bool
        Judge by the graph computed in float64.
    layers : bool
        Compare every tensor that both sides name, and find the first that diverges.
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
    comparison = CheckOptions(samples, seed, rtol, atol, data, exact, layers)
    made = ExportOptions(opset, layout, rename or {}, half)
    if place is not None:
        require_apart(place.path, (source, data))
    _refuse_vain(place, made, comparison, fold=fold, keep=keep, strict_fold=strict_fold)
    stages = calls.Stages(observe)
    loaded = stages.run("load", lambda: calls.load(source, options))
    reference = stages.run("infer", lambda: calls.infer(loaded, options))
    if strict:
        _refuse_warnings(loaded.notes + reference.notes)
    folding = stages.run("fold", lambda: calls.fold(reference, fold, keep, strict_fold))
    path = None if place is None else place.path
    artifact = stages.run(
        "export", lambda: calls.export(folding, place, made, reference), tell=lambda file: file.summary(path)
    )

    def compare(candidate: Any) -> CheckReport | None:
        if not check:
            return None
        return stages.run("verify", lambda: compared(candidate))

    def compared(candidate: Any) -> CheckReport:
        found = calls.verify(reference, candidate, comparison, made=made, fates=folding.fates, progress=stages.compared)
        return (
            found if found.equal else blame(reference, folding, candidate, found, comparison, target=place, made=made)
        )

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
        certificate = None
        if checked is not None:
            certificate = calls.certify(checked, loaded.fingerprint, artifact.fingerprint(), folding.fates)
        artifact.describe(metadata.describe(report, options, made, certificate))
        return Conversion(report, reference, folding, artifact, certificate, made)

    if place is None:
        return conclude(compare(artifact.comparable))
    with place.staged() as staged:
        from_file = place.format == "onnx"
        if check and from_file:
            artifact.write(staged)
        conversion = conclude(compare(staged if from_file else artifact.comparable))
        if conversion.report.equal is False:
            raise OutputsDifferError(conversion.report, conversion)
        if staged.exists():
            artifact.complete(staged)  # with the check's figures in its metadata
        else:
            artifact.write(staged)
    return conversion


def check(
    source: Any,
    model: str | Path | onnx.ModelProto | None = None,
    *,
    certificate: Mapping[str, Any] | None = None,
    samples: int = 8,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    data: Data | None = None,
    exact: bool = False,
    layers: bool = False,
    observe: Observer | None = None,
    **how: Unpack[ReadingKeywords],
) -> CheckReport:
    """Compare an ONNX file, whoever wrote it, with the inference graph of its source.

    Parameters
    ----------
    source : str, Path or model object
        As for `convert`. An ``.onnx`` file that bnfold wrote, when ``model`` is None: the source and how it was
        read are then taken from the file's metadata.
    model : str, Path or ModelProto, optional
    certificate : mapping, optional
        A certificate that must hold too: same source, same model. That in the file's metadata when ``model`` is None;
        where ``model`` is given, the report's ``outdated`` tells what does not hold in it.
    samples, seed, rtol, atol, data, exact, layers, observe
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
    from bnfold.verify import OnnxModel, mismatches, model_fingerprint

    options = SourceOptions(**how)
    comparison = CheckOptions(samples, seed, rtol, atol, data, exact, layers)
    stages = calls.Stages(observe)
    origin = None
    if model is None:
        if options != SourceOptions():
            raise ValueError("the file says how its source is read; to read it otherwise, pass source and model")
        model = Path(source)
        source, origin = written_by_bnfold(model)
        options = origin.options
    candidate = OnnxModel(model)
    loaded = stages.run("load", lambda: calls.load(source, options))
    if origin is not None and origin.fingerprint != loaded.fingerprint:
        raise VerificationError(
            f"{loaded.label} has changed since {model} was made from it",
            hint="convert it again, or compare all the same: bnfold check SOURCE MODEL.onnx",
        )
    asked, options = options, named_by(candidate, loaded, options)
    reference = stages.run("infer", lambda: credited(calls.infer(loaded, options), asked))
    certified = certificate or (metadata.certificate(candidate.proto) if origin is not None else None)

    def compare() -> CheckReport:
        fates = metadata.fates(candidate.proto)
        made = metadata.export_options(candidate.proto)
        report = calls.verify(reference, model, comparison, made=made, fates=fates, progress=stages.compared)
        if certified is None:
            said = said_of(metadata.certificate(candidate.proto), loaded, model_fingerprint(candidate))
            return replace(report, outdated=said)
        broken = mismatches(certified, source=loaded.fingerprint, model=model_fingerprint(candidate), report=report)
        return replace(report, equal=report.equal and not broken, problems=report.problems + tuple(broken))

    return stages.run("verify", compare)


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
    stages = calls.Stages(observe)
    loaded = stages.run("load", lambda: calls.load(source, options))
    reference = stages.run("infer", lambda: calls.infer(loaded, options))
    folding = stages.run("fold", lambda: calls.fold(reference, True, None, False))
    return Inspection(
        source=SourceSummary.of(loaded),
        inputs=reference.inputs,
        outputs=reference.outputs,
        batch_norms=reference.batch_norms,
        fates=folding.fates,
        notes=loaded.notes + reference.notes,
        ops=FrozenFile(reference).summary(None).ops,
    )


def _refuse_vain(
    place: Target | None,
    made: ExportOptions,
    comparison: CheckOptions,
    *,
    fold: bool,
    keep: str | None,
    strict_fold: bool,
) -> None:
    """Refuse arguments that would change nothing beside others."""
    if place is not None and place.format == "pb" and made != ExportOptions():
        raise ValueError(f"opset, layout, rename and half are of ONNX files, and {place.path} is a frozen graph")
    if not fold and (keep is not None or strict_fold):
        raise ValueError("with fold=False every batch norm is kept: keep and strict_fold would change nothing")
    if made.half and comparison.exact:
        raise ValueError("float64 does not judge files of half precision: exact would change nothing")


def _refuse_warnings(notes: tuple[Note, ...]) -> None:
    warnings = [note for note in notes if note.level == "warning"]
    if warnings:
        raise InferenceError(
            "; ".join(note.message for note in warnings),
            hint="without --strict this is a warning",
        )


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "onnx", "onnxruntime", "numpy")
    return {"bnfold": __version__, **{package: version(package) for package in packages}}

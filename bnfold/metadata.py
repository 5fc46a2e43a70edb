"""What a written ONNX file remembers: its source, how it was read, each batch norm's fate, the check's figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnfold.errors import VerificationError
from bnfold.graph.stages import Fate, Folded, Kept
from bnfold.options import ExportOptions, SourceOptions

if TYPE_CHECKING:
    import onnx

    from bnfold.results import Report

SOURCE, BATCH_NORMS, CHECK, VERSION = "bnfold.source", "bnfold.batch_norms", "bnfold.check", "bnfold.version"
EXPORT = "bnfold.export"


@dataclass(frozen=True)
class Origin:
    """Where a model came from.

    Attributes
    ----------
    path : str or None
        The source as its user named it.
    fingerprint : str
        SHA-256 of the source's files.
    options : SourceOptions
        How it was read.
    """

    path: str | None
    fingerprint: str
    options: SourceOptions


def describe(
    report: Report, options: SourceOptions, made: ExportOptions, certificate: Mapping[str, Any] | None
) -> dict[str, str]:
    """The ``metadata_props`` of a model, as JSON by key."""
    source = {
        "path": report.source.path,
        "kind": report.source.kind,
        "fingerprint": report.source.fingerprint,
        "options": options.as_json(),
    }
    entries: dict[str, Any] = {
        VERSION: report.versions["bnfold"],
        SOURCE: source,
        BATCH_NORMS: [fate.as_json() for fate in report.fates],
    }
    if made.as_json():
        entries[EXPORT] = made.as_json()
    if certificate is not None:
        entries[CHECK] = {key: value for key, value in certificate.items() if key != "batch_norms"}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in entries.items()}


def attach(model: onnx.ModelProto, entries: Mapping[str, str]) -> None:
    """Set ``metadata_props`` of ``model``, in place; entries of the same key are replaced."""
    kept = [entry for entry in model.metadata_props if entry.key not in entries]
    values = [(entry.key, entry.value) for entry in kept] + sorted(entries.items())
    del model.metadata_props[:]
    for key, value in values:
        model.metadata_props.add(key=key, value=value)


def fates(model: onnx.ModelProto) -> tuple[Fate, ...]:
    """What became of each batch norm, as ``model`` says; empty where it does not."""
    try:
        return tuple(_fate(values) for values in _entry(model, BATCH_NORMS) or ())
    except (KeyError, TypeError):
        return ()


def _entry(model: onnx.ModelProto, key: str) -> Any:
    """The entry ``key`` of ``model``; None where it has none, or one that is not JSON: anyone may have written it."""
    text = next((entry.value for entry in model.metadata_props if entry.key == key), "null")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fate(values: Mapping[str, Any]) -> Fate:
    if values["fate"] == "kept":
        return Kept(str(values["name"]), str(values["reason"]))
    return Folded(str(values["name"]), tuple(map(str, values["into"])), str(values["rule"]))


def export_options(model: onnx.ModelProto) -> ExportOptions:
    """How ``model`` was made, as far as a comparison must know; the defaults where it does not say."""
    values = _entry(model, EXPORT)
    return ExportOptions.from_json(values) if isinstance(values, dict) else ExportOptions()


def certificate(model: onnx.ModelProto) -> dict[str, Any] | None:
    """The certificate in ``model``; None where it has none or it is damaged."""
    values = _entry(model, CHECK)
    return values if isinstance(values, dict) else None


def origin(model: onnx.ModelProto) -> Origin:
    """Where ``model`` came from.

    Raises
    ------
    VerificationError
        When bnfold did not write it, or its metadata was tampered with.
    """
    if not any(entry.key == SOURCE for entry in model.metadata_props):
        raise VerificationError(
            "the file does not say which source it was made from",
            hint="bnfold check SOURCE MODEL.onnx compares a file that another tool wrote",
        )
    try:
        values = _entry(model, SOURCE)
        path, fingerprint = values["path"], values["fingerprint"]
        if not (isinstance(path, str | None) and isinstance(fingerprint, str)):
            raise ValueError(f"{path!r} is no path, or {fingerprint!r} no fingerprint")
        return Origin(path, fingerprint, SourceOptions.from_json(values["options"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(
            f"the file's {SOURCE} entry is damaged", hint="bnfold check SOURCE MODEL.onnx names the source by hand"
        ) from error

"""The certificate: what was compared, by what, how, and what came of it, so that anyone can repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold.errors import VerificationError
from bnfold.graph.stages import Fate
from bnfold.verify.report import CheckReport
from bnfold.verify.runtime import OnnxModel

if TYPE_CHECKING:
    import onnx

FORMAT = 1
"""Version of the certificate's layout."""


def model_fingerprint(model: onnx.ModelProto | OnnxModel | str | Path) -> str:
    """SHA-256 of a model, its ``metadata_props`` left out: the certificate itself is kept there.

    The files that hold its weights are part of it. Nodes are hashed as they are serialised, so any change of a
    weight, a name or the order counts.
    """
    import onnx

    file = model if isinstance(model, OnnxModel) else OnnxModel(model)
    stripped = onnx.ModelProto()
    stripped.CopyFrom(file.proto)
    del stripped.metadata_props[:]
    digest = hashlib.sha256(stripped.SerializeToString(deterministic=True))
    folder = None if file.path is None else file.path.parent
    for location in sorted(_locations(stripped)):
        path = Path(location) if folder is None else folder / location
        try:
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise VerificationError(f"{path}, which holds weights of the model, cannot be read") from error
    return digest.hexdigest()


def _locations(model: onnx.ModelProto) -> set[str]:
    return {
        entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"
    }


def certificate(report: CheckReport, *, source: str, model: str, fates: Sequence[Fate] = ()) -> dict[str, Any]:
    """The certificate as JSON.

    Parameters
    ----------
    report : CheckReport
    source : str
        SHA-256 of the source's files.
    model : str
        `model_fingerprint` of the file.
    fates : sequence of Folded or Kept
    """
    figures = report.as_json()
    figures.pop("layers")
    return {
        "format": FORMAT,
        "source_sha256": source,
        "model_sha256": model,
        "batch_norms": [fate.as_json() for fate in fates],
        **figures,
    }


def mismatches(certified: dict[str, Any], *, source: str, model: str, report: CheckReport | None = None) -> list[str]:
    """What a certificate says that is not so (any more); empty when it holds.

    Parameters
    ----------
    certified : dict
        A certificate.
    source, model : str
        The fingerprints of what is there now.
    report : CheckReport, optional
        The comparison made anew, with the certificate's samples and seed.
    """
    found = []
    if certified.get("format") != FORMAT:
        return [f"the certificate is of format {certified.get('format')}, not {FORMAT}"]
    if certified.get("source_sha256") != source:
        found.append("the source is not the one that was certified")
    if certified.get("model_sha256") != model:
        found.append("the model is not the one that was certified")
    if certified.get("equal") is not True:
        found.append("it certifies that the outputs differ")
    if report is not None and not report.equal:
        found.append("the outputs differ now: " + "; ".join(report.reasons))
    return found

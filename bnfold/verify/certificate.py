"""The certificate: what was compared, by what, how, and what came of it, so that anyone can repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array
from bnfold.graph.stages import Fate
from bnfold.verify.report import CheckReport
from bnfold.verify.runtime import OnnxModel

if TYPE_CHECKING:
    import onnx

FORMAT = 1
"""Version of the certificate's layout."""


def model_fingerprint(
    model: onnx.ModelProto | OnnxModel | str | Path, *, initializers: Iterable[onnx.TensorProto] | None = None
) -> str:
    """SHA-256 of a model: its graph, and its weights wherever they are kept.

    The ``metadata_props`` are left out, since the certificate itself is kept there. A model has the same fingerprint
    in memory, in one file, and with its weights beside the file.

    Parameters
    ----------
    model : onnx.ModelProto, OnnxModel or path
    initializers : iterable of onnx.TensorProto, optional
        Its initializers, where ``model`` is a proto without them.

    Raises
    ------
    VerificationError
        When a file that holds weights cannot be read.
    """
    import onnx

    file = model if isinstance(model, OnnxModel) else OnnxModel(model)
    proto = file.proto
    shell = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import, functions=proto.functions)
    for field in ("node", "input", "output", "value_info"):
        getattr(shell.graph, field).extend(getattr(proto.graph, field))
    digest = hashlib.sha256(shell.SerializeToString(deterministic=True))
    folder = "" if file.path is None else str(file.path.parent)
    for tensor in proto.graph.initializer if initializers is None else initializers:
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}".encode())
        digest.update(_content(tensor, folder))  # type: ignore[arg-type]  # an array of bytes is a buffer
    return digest.hexdigest()


def _content(tensor: Any, folder: str) -> bytes | Array:
    from onnx import numpy_helper

    try:
        array = numpy_helper.to_array(tensor, folder)
    except Exception as error:  # onnx raises a dozen kinds for what a file says of its weights
        hint = "the files that hold the weights must be beside the model"
        raise VerificationError(f"the weights of {tensor.name} cannot be read: {error}", hint=hint) from error
    if array.dtype == object:
        return repr(array.tolist()).encode()
    content: Array = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return content


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


def mismatches(
    certified: Mapping[str, Any], *, source: str, model: str, report: CheckReport | None = None
) -> list[str]:
    """What a certificate says that is not so (any more); empty when it holds.

    Parameters
    ----------
    certified : mapping
        A certificate.
    source, model : str
        The fingerprints of what is there now.
    report : CheckReport, optional
        The comparison made anew.
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
        found.append("the outputs differ now")
    return found

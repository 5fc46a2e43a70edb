"""The ONNX side: a model run by onnxruntime, its graph optimisations off or on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, DType, Shape
from bnfold.verify.candidate import Runner, Value

if TYPE_CHECKING:
    import onnx

PROTO_LIMIT = 2**31 - 1

MODES = ("off", "on")
"""onnxruntime's graph optimisations: none, and all of them. Its own rewrites have been wrong; see both."""


LARGE = 2**28
"""Bytes from which a model's sessions are opened one after another, each when it is needed."""


class OnnxModel:
    """An ONNX model to compare.

    Parameters
    ----------
    source : onnx.ModelProto, path or bytes

    Raises
    ------
    VerificationError
        When there is no such file, or it is not an ONNX model.
    """

    modes: tuple[str, ...] = MODES

    def __init__(self, source: onnx.ModelProto | str | Path | bytes) -> None:
        self.path = Path(source) if isinstance(source, str | Path) else None
        self._given = None if isinstance(source, str | Path) else source
        proto = self._load()
        initializers = {tensor.name for tensor in proto.graph.initializer}
        self.inputs = [_value(info) for info in proto.graph.input if info.name not in initializers]
        self.outputs = [_value(info) for info in proto.graph.output]
        self.quantises = any(node.op_type == "QuantizeLinear" for node in proto.graph.node)
        if not self.outputs:
            raise VerificationError(f"{self.label} has no outputs", hint="it may be truncated: export it again")

    @property
    def label(self) -> str:
        return "the model" if self.path is None else self.path.name

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The model without the data that it keeps in other files.

        A file is read anew when this is first asked for: while its sessions run, its weights are in memory once less.
        """
        return self._load()

    def _load(self) -> onnx.ModelProto:
        return _read(self.path, self.label) if self.path is not None else _parse(self._given, self.label)

    @cached_property
    def bytes(self) -> bytes:
        if isinstance(self._given, bytes):
            return self._given
        if self.proto.ByteSize() > PROTO_LIMIT:
            raise VerificationError("the model is over 2 GiB: no proto holds it", hint="convert it to a file")
        data: bytes = self.proto.SerializeToString()
        return data

    @property
    def is_large(self) -> bool:
        """Is it a file of more than `LARGE` bytes, those of its weights beside it included?"""
        if self.path is None:
            return False
        beside = self.path.with_name(self.path.name + ".data")
        return sum(file.stat().st_size for file in (self.path, beside) if file.is_file()) > LARGE

    def runner(self, mode: str) -> Runner:
        return self.session(mode)

    def session(self, mode: str, *, extra_outputs: Sequence[str] = ()) -> Runtime:
        """An onnxruntime session; ``extra_outputs`` are inner tensors that it gives as well."""
        return Runtime(self, mode, extra_outputs)


class Runtime:
    """onnxruntime ready to run one model on the CPU."""

    def __init__(self, model: OnnxModel, mode: str, extra_outputs: Sequence[str] = ()) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if mode == "on" else levels.ORT_DISABLE_ALL
        options.log_severity_level = 3
        # Between QuantizeLinear and DequantizeLinear it would compute in integers, a step off now and then.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        if model.is_large and mode == "off":  # kernels copy their weights otherwise, in an order that suits them
            options.add_session_config_entry("session.disable_prepacking", "1")
        path = None if model.path is None or not _is_text(model.path) else model.path
        source: str | bytes = str(path) if path and not extra_outputs else _with_outputs(model, extra_outputs)
        if path is not None and extra_outputs:
            # Where a model given as bytes looks for the files that hold its weights.
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
        try:
            self._session = onnxruntime.InferenceSession(
                source,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # there is no other, and it says on standard output that it tries one
            )
        except Exception as error:  # onnxruntime's exceptions share no base class but this one
            tool = f"onnxruntime {onnxruntime.__version__} (optimisations {mode})"
            hint = (
                "export it again, with all files that hold its weights beside it; another --opset may suit onnxruntime"
            )
            raise VerificationError(f"{tool} refuses {model.label}: {_first_line(error)}", hint=hint) from error
        self.mode = mode

    def run(self, fetches: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """The values of the outputs ``fetches``.

        Raises
        ------
        VerificationError
            When onnxruntime fails; the message is its own.
        """
        try:
            values = self._session.run(list(fetches), {name: np.asarray(x, order="C") for name, x in feeds.items()})
        except Exception as error:
            hint = "an input may take only some sizes or values: --data with samples that it takes"
            raise VerificationError(
                f"onnxruntime (optimisations {self.mode}): {_first_line(error)}", hint=hint
            ) from error
        for name, value in zip(fetches, values, strict=True):
            if isinstance(value, list | dict):
                raise VerificationError(
                    f"output {name} is no tensor but a {'sequence' if isinstance(value, list) else 'map'}",
                    hint="export the model with tensors for outputs",
                )
        return [np.asarray(value) for value in values]


def _is_text(path: Path) -> bool:
    """Whether onnxruntime can be given ``path``: file systems take names that are no UTF-8, it does not."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(path: Path, label: str) -> onnx.ModelProto:
    import onnx

    if not os.path.isfile(path):
        raise VerificationError(f"no ONNX file at {path}", hint="pass the .onnx file to check")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise _not_onnx(label) from error
    return _checked(model, label)


def _parse(given: Any, label: str) -> onnx.ModelProto:
    import onnx

    if isinstance(given, onnx.ModelProto):
        return _checked(given, label)
    if not isinstance(given, bytes):
        raise TypeError(f"model must be a ModelProto, a path or bytes, not {type(given).__name__}")
    try:
        return _checked(onnx.load_from_string(given), label)
    except VerificationError:
        raise
    except Exception as error:
        raise _not_onnx(label) from error


def _checked(model: onnx.ModelProto, label: str) -> onnx.ModelProto:
    # Protobuf parses many files that are no ONNX model, a text file of the right letters among them.
    if not model.opset_import or not model.HasField("graph"):
        raise _not_onnx(label)
    return model


def _not_onnx(label: str) -> VerificationError:
    return VerificationError(f"{label} is not an ONNX model", hint="pass the .onnx file to check")


def _with_outputs(model: OnnxModel, names: Sequence[str]) -> bytes:
    if not names:
        return model.bytes
    import onnx

    extended = onnx.ModelProto()
    extended.CopyFrom(model.proto)
    present = {info.name for info in extended.graph.output}
    extended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    data: bytes = extended.SerializeToString()
    return data


def _value(info: Any) -> Value:
    tensor = info.type.tensor_type
    try:
        dtype = DType.of_onnx(tensor.elem_type) if info.type.HasField("tensor_type") else None
    except KeyError:  # a type that TensorFlow has not
        dtype = None
    if not tensor.HasField("shape"):
        return Value(info.name, dtype, None)
    shape: Shape = tuple(_size(dim) for dim in tensor.shape.dim)
    return Value(info.name, dtype, shape)


def _size(dim: Any) -> int | None:
    """A size; some exporters write -1 for one that is not known."""
    return int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value >= 0 else None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]

"""Runs a TensorFlow graph and its ONNX form side by side.

Each check of a lowering goes through `assert_lowers`, which trusts nothing: the checker's full pass, strict shape
inference, onnxruntime with its optimisations off and on, and dtype, shape and every value of every output.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from bnfold.export import DEFAULT_OPSET, NEWEST_OPSET, export
from bnfold.graph import DType, Graph, Shape
from bnfold.graph.evaluate import Session, with_types
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.stages import Endpoint, InferenceGraph
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference.loops import enter_constants

onnxruntime.set_default_logger_severity(4)

Feeds = Mapping[str, Any]

OLD_RUNTIME = tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 24)
"""1.23 is the last for Python 3.10."""

NEWEST_RUN = 23 if OLD_RUNTIME else NEWEST_OPSET
"""The newest opset that this runtime loads."""

TOLERANCES = {"float32": (2e-6, 2e-6), "float64": (1e-12, 1e-12), "float16": (2e-3, 2e-3), "bfloat16": (2e-2, 2e-2)}
"""rtol and atol by dtype: a few units in the last place, atol relative to the largest value of the output."""


def inference_graph(
    build: Callable[..., Any], feeds: Feeds, *, shapes: Mapping[str, Shape | None] | None = None
) -> InferenceGraph:
    """The graph that ``build`` makes of placeholders like ``feeds``, typed and pruned as `infer` would leave it.

    Parameters
    ----------
    build : callable
        Called in a TensorFlow 1 graph with the placeholders, in the order of ``feeds``; returns a tensor or several.
        What it makes with the high-level API stays as it is: no constant folding.
    feeds : mapping of str to array
        By placeholder name.
    shapes : mapping of str to Shape, optional
        Static shapes, where they are not those of ``feeds``: None for an unknown size, or for an unknown rank.
    """
    tf = tensorflow()
    with tf.Graph().as_default() as tf_graph:
        placeholders = {}
        for name, value in feeds.items():
            shape = (shapes or {}).get(name, np.shape(value))
            placeholders[name] = tf.compat.v1.placeholder(tf.as_dtype(np.asarray(value).dtype), shape, name=name)
        results = build(*placeholders.values())
        results = list(results) if isinstance(results, (list, tuple)) else [results]
    outputs = [tensor.name for tensor in results]
    graph = from_graph_def(tf_graph.as_graph_def()).pruned([*outputs, *(f"{name}:0" for name in feeds)])
    graph = with_types(enter_constants(graph))
    return InferenceGraph(
        graph, tuple(_endpoint(graph, f"{name}:0") for name in feeds), tuple(_endpoint(graph, o) for o in outputs)
    )


def _endpoint(graph: Graph, tensor: str) -> Endpoint:
    known = graph.types[tensor]
    return Endpoint(tensor, tensor, known.dtype, known.shape)


def assert_lowers(
    build: Callable[..., Any],
    feeds: Feeds,
    *more_feeds: Feeds,
    shapes: Mapping[str, Shape | None] | None = None,
    dynamic: bool = False,
    opsets: Sequence[int] = (DEFAULT_OPSET,),
    rtol: float | None = None,
    atol: float | None = None,
    **options: Any,
) -> onnx.ModelProto:
    """Assert that the ONNX form of a TensorFlow graph gives the same, and return it (of the last opset).

    Parameters
    ----------
    build, shapes
        See `inference_graph`.
    feeds : mapping of str to array
        The inputs, by placeholder name; ``more_feeds`` are run too, through the same model.
    dynamic : bool
        Every size of every placeholder is unknown (the rank is known), unless ``shapes`` names it.
    opsets : sequence of int
    rtol, atol : float, optional
        In place of `TOLERANCES`; ``atol`` is multiplied by the largest value of the output.
    **options
        Of `export`.
    """
    if dynamic:
        shapes = {name: (None,) * np.ndim(value) for name, value in feeds.items()} | dict(shapes or {})
    inference = inference_graph(build, feeds, shapes=shapes)
    names = [endpoint.tensor for endpoint in inference.outputs]
    with Session(inference.graph) as session:
        expected = [session.run(names, {f"{k}:0": np.asarray(v) for k, v in f.items()}) for f in (feeds, *more_feeds)]
    for opset in opsets:
        model = export(inference, opset=opset, **options)
        check_file(model)
        for level in _LEVELS:
            runtime = _runtime(model, level)
            for feed, wanted in zip((feeds, *more_feeds), expected, strict=True):
                got = _run(runtime, {f"{name}:0": value for name, value in feed.items()})
                for name, a, b in zip(names, got, wanted, strict=True):
                    assert_same(a, b, where=f"{name}, opset {opset}, {level}", rtol=rtol, atol=atol)
    return model


_LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)


def require_runtime(model: onnx.ModelProto) -> None:
    """Skip what is left of the test when the installed runtime does not load the opset."""
    opset = max(entry.version for entry in model.opset_import if not entry.domain)
    if opset > NEWEST_RUN:
        pytest.skip(f"onnxruntime {onnxruntime.__version__} loads no opset {opset}")


def check_file(model: onnx.ModelProto) -> None:
    """What every exported file must satisfy: the checker's full pass, and a type for every value.

    Values are not followed: onnx takes matrices of integers for vectors where it does.
    """
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    typed = {info.name for info in (*model.graph.value_info, *model.graph.output)}
    made = {name for node in model.graph.node for name in node.output if name}
    assert made <= typed, f"no type for {sorted(made - typed)}"


def _runtime(model: onnx.ModelProto, level: Any) -> onnxruntime.InferenceSession:
    require_runtime(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(runtime: onnxruntime.InferenceSession, feeds: Feeds) -> list[Any]:
    """All outputs. bfloat16 goes in and out as an OrtValue, since onnxruntime knows no numpy type for it."""
    names = [output.name for output in runtime.get_outputs()]
    if not any("bfloat16" in node.type for node in (*runtime.get_inputs(), *runtime.get_outputs())):
        return runtime.run(names, {name: _for_runtime(value) for name, value in feeds.items()})
    values = runtime.run_with_ort_values(names, {name: _ort_value(value) for name, value in feeds.items()})
    return [_as_numpy(value) for value in values]


def _for_runtime(value: Any) -> Any:
    array = np.asarray(value)
    if DType.of_numpy(array.dtype).name == "string":
        return np.array([_text(item) for item in array.flat], dtype=object).reshape(array.shape)
    return array


def _ort_value(value: Any) -> onnxruntime.OrtValue:
    array = np.asarray(value)
    dtype = DType.of_numpy(array.dtype)
    if dtype.name == "bfloat16":
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), dtype.onnx)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _as_numpy(value: onnxruntime.OrtValue) -> Any:
    if "bfloat16" not in value.data_type():
        return value.numpy()
    raw = (ctypes.c_uint16 * math.prod(value.shape())).from_address(value.data_ptr())
    return np.array(raw, np.uint16).view(DType.named("bfloat16").numpy).reshape(value.shape())


def _text(item: Any) -> str:
    return item.decode() if isinstance(item, bytes) else str(item)


def assert_same(
    got: Any, wanted: Any, *, where: str = "", rtol: float | None = None, atol: float | None = None
) -> None:
    """Same dtype, same shape, same values: floats within `TOLERANCES`, NaN and infinities in the same places."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if wanted.dtype == object or got.dtype.kind in "OU":
        assert [_text(x) for x in got.flat] == [_text(x) for x in wanted.flat], where
        assert got.shape == wanted.shape, where
        return
    assert got.dtype == wanted.dtype, f"{where}: dtype {got.dtype}, not {wanted.dtype}"
    assert got.shape == wanted.shape, f"{where}: shape {got.shape}, not {wanted.shape}"
    name = DType.of_numpy(wanted.dtype).name
    if name not in TOLERANCES:
        np.testing.assert_array_equal(got, wanted, err_msg=where)
        return
    default = TOLERANCES[name]
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    finite = np.abs(wanted[np.isfinite(wanted)])
    scale = float(finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(
        got,
        wanted,
        rtol=default[0] if rtol is None else rtol,
        atol=(default[1] if atol is None else atol) * scale,
        err_msg=where,
    )


def op_types(model: onnx.ModelProto) -> list[str]:
    """The op types of the model's top-level nodes, in order."""
    return [node.op_type for node in model.graph.node]


def body_of(model: onnx.ModelProto, op: str, attr: str) -> onnx.GraphProto:
    """The body ``attr`` of the model's first ``op``."""
    node = next(node for node in model.graph.node if node.op_type == op)
    return next(attribute.g for attribute in node.attribute if attribute.name == attr)


def random(*shape: int, dtype: Any = np.float32, seed: int = 0, low: float = -3, high: float = 3) -> np.ndarray:
    """Uniform values of both signs (of one sign for unsigned dtypes), the same for the same seed."""
    kind = np.dtype(dtype)
    values = np.random.default_rng(seed).uniform(low, high, shape)
    return np.asarray(np.abs(values) if kind.kind == "u" else values).astype(kind)

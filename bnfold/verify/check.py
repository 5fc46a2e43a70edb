"""The last stage: is the ONNX file the same function as TensorFlow's inference graph?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from bnfold.errors import VerificationError
from bnfold.graph.stages import Endpoint, Fate, InferenceGraph
from bnfold.samples.data import Data, data_label
from bnfold.verify.candidate import Candidate, GraphModel, Value
from bnfold.verify.comparison import Comparison, Progress
from bnfold.verify.matching import match
from bnfold.verify.report import CheckReport, Match
from bnfold.verify.runtime import OnnxModel
from bnfold.verify.tolerance import tolerance
from bnfold.verify.trace import LayerTrace

if TYPE_CHECKING:
    import onnx


def verify(
    reference: InferenceGraph,
    model: onnx.ModelProto | str | Path | bytes | Candidate | InferenceGraph,
    *,
    samples: int = 8,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
    data: Data | None = None,
    exact: bool = False,
    names: Mapping[str, str] | None = None,
    transposed: bool = True,
    half: bool = False,
    layers: bool = False,
    fates: Sequence[Fate] = (),
    progress: Progress | None = None,
) -> CheckReport:
    """Compare an ONNX model with TensorFlow on an inference graph.

    TensorFlow runs ``reference`` as it is; onnxruntime runs the model with its graph optimisations off and on. An
    output is equal when on every sample

    ``max|onnx − tf| ≤ rtol · max|tf|``, with ``rtol = 8·u·√n`` (`bnfold.verify.tolerance`), or else

    ``max|onnx − float64| ≤ 4 · max(|tf − float64|, |shaken − float64|) + 8·u · max|tf|``: the graph computed in
    float64 decides whether a larger difference is rounding; ``shaken`` is computed of inputs that are one rounding off.

    Integers, bools and strings must be the same, but for one in 10,000 (an argmax on a tie). Whatever the figures,
    a missing or unexpected input or output, another dtype or shape, a NaN, or no sample compared is not equal.

    Parameters
    ----------
    reference : InferenceGraph
        Unfolded, so that a wrong fold cannot agree with itself.
    model : onnx.ModelProto, path, bytes, OnnxModel or InferenceGraph
        A file may also be one that another tool wrote: tensors are matched by name with and without ``:0``, else
        by being alone or by shape, and channels-first files are fed transposed; ``matches`` says what was done. An
        InferenceGraph (the folded one) is run by TensorFlow.
    samples : int
        Random samples, in the range that the graph implies: one alone, the others together; two sizes where the
        graph leaves them open. Four edges are added: zeros, a constant, large values, one hot channel.
    seed : int
    rtol, atol : float, optional
        Replace the formula.
    data : path, ndarray, mapping, or iterable of these, optional
        Samples to use in place of random ones; see `bnfold.samples.data.batches_of`.
    exact : bool
        Judge by the float64 rule alone, on every sample; with ``layers``, on every tensor.
    names : mapping of str to str, optional
        The file's name for a tensor of the reference, where it was renamed.
    transposed : bool
        Accept inputs and outputs in the other layout.
    half : bool
        The file computes in float16: ``u`` is that type's, and its inputs and outputs may be of that type.
    layers : bool
        Also compare every tensor that both sides name, and find the first that diverges (`bnfold.verify.layers`).
    fates : sequence of Folded or Kept
        What became of each batch norm, for ``layers``.
    progress : callable, optional

    Returns
    -------
    CheckReport

    Raises
    ------
    VerificationError
        When nothing can be compared: no samples, a file that is not ONNX or that onnxruntime refuses, a graph that
        TensorFlow cannot run.
    """
    if data is None and samples < 1:
        raise VerificationError("zero samples prove nothing", hint="ask for at least one (--samples 8)")
    compute = _compute_type(reference, half)
    limit = tolerance(reference.graph, rtol=rtol, atol=atol, exact=exact, compute=compute, once_a_layer=half)
    file = _candidate(model)
    inputs, problems = match(reference.inputs, file.inputs, role="input", names=names)
    outputs, missing = match(reference.outputs, file.outputs, role="output", names=names)
    problems += missing
    problems += _changed(reference.inputs, inputs, file.inputs, transposed=transposed, half=half)
    problems += _changed(reference.outputs, outputs, file.outputs, transposed=transposed, half=half)
    comparison = Comparison(reference, file, inputs, outputs, limit, half=half, transposed=transposed)
    label = "random" if data is None else data_label(data)
    traced: LayerTrace | None = None
    if set(inputs) == {endpoint.name for endpoint in reference.inputs} and len(inputs) == len(file.inputs) and outputs:
        with closing(comparison):
            comparison.run(samples, seed, data, progress)
            traced = comparison.trace(fates) if layers else None
    if exact and traced is not None and traced.first is not None:
        problems.append(f"{traced.first} diverges inside the network")
    return comparison.report(tuple(problems), seed=seed, data=label, layers=traced)


def _candidate(model: onnx.ModelProto | str | Path | bytes | Candidate | InferenceGraph) -> Candidate:
    if isinstance(model, InferenceGraph):
        return GraphModel(model)
    return model if isinstance(model, OnnxModel | GraphModel) else OnnxModel(model)


def _compute_type(reference: InferenceGraph, half: bool) -> str:
    """The narrowest float type that outputs or inputs have: what rounding is measured in."""
    if half:
        return "float16"
    types = {endpoint.dtype.name for endpoint in (*reference.inputs, *reference.outputs)}
    return next((name for name in ("bfloat16", "float16", "float32", "float64") if name in types), "float32")


def _changed(
    endpoints: Sequence[Endpoint],
    matches: Mapping[str, Match],
    values: Sequence[Value],
    *,
    transposed: bool,
    half: bool,
) -> list[str]:
    """Declared dtypes that differ, and layouts where they may not."""
    by_name = {value.name: value for value in values}
    problems = []
    for endpoint in endpoints:
        if (found := matches.get(endpoint.name)) is None:
            continue
        theirs = by_name[found.onnx_name].dtype
        both_float = theirs is not None and theirs.is_floating and endpoint.dtype.is_floating
        if theirs is not None and theirs != endpoint.dtype and not (half and both_float):
            problems.append(f"{endpoint.name} is {theirs} in the file, {endpoint.dtype} in TensorFlow")
        if found.permutation is not None and not transposed:
            problems.append(f"{endpoint.name} has its axes in the order {found.permutation} in the file")
    return problems

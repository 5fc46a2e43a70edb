"""The model's inputs and outputs: their names, types and layouts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from bnfold.errors import ExportError
from bnfold.export.onnx_graph import OnnxNode, stored_type
from bnfold.export.scope import Scope
from bnfold.graph import TensorType, tensor_name
from bnfold.graph.stages import Endpoint


def exported_names(endpoints: Iterable[Endpoint], rename: Mapping[str, str]) -> dict[str, str]:
    """The name in the file of each endpoint, by tensor.

    Parameters
    ----------
    endpoints : iterable of Endpoint
    rename : mapping of str to str
        New names by old ones, with or without ``:0``.

    Raises
    ------
    ExportError
        When an old name is none of theirs, or two get the same name, or one an empty name.
    """
    wanted = {tensor_name(old): new for old, new in rename.items()}
    names = {endpoint.tensor: wanted.pop(tensor_name(endpoint.name), endpoint.name) for endpoint in endpoints}
    for name in wanted:
        raise unknown_name(name, names.values())
    if old := next((tensor for tensor, name in names.items() if not name), None):
        raise ExportError(f"{old} would have no name", hint="give it one: OLD=NEW")
    if len(set(names.values())) < len(names):
        raise ExportError(
            f"two inputs or outputs would have the same name: {', '.join(names.values())}",
            hint="rename one of them to something else",
        )
    return names


def unknown_name(name: str, names: Iterable[str]) -> ExportError:
    """The error to raise for a name that is none of the inputs' and outputs'."""
    known = list(names)
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return ExportError(f"{name} is no input or output", hint=hint)


def declare_input(scope: Scope, endpoint: Endpoint) -> None:
    """Make ``endpoint`` an input of the model; sizes that are not known get names."""
    name = scope.names.take(scope.exported[endpoint.tensor])
    known = scope.graph.type_of(endpoint.tensor) or TensorType(endpoint.dtype, endpoint.shape)
    if known.dtype.onnx is None:
        raise ExportError(
            f"input {endpoint.name} is a {known.dtype}, which ONNX has no type for",
            hint="name tensors after it with --input",
            node=endpoint.name,
        )
    permutation = scope.layouts.stored.get(endpoint.tensor)
    known = stored_type(known, permutation)
    scope.onnx.inputs.append(name)
    scope.onnx.types[name] = known
    if known.shape is not None:
        axes = permutation or range(len(known.shape))
        named = [
            (axis, _dim_name(scope, endpoint, name, axis), size) for axis, size in zip(axes, known.shape, strict=True)
        ]
        scope.onnx.dims[name] = tuple(dim if size is None else size for _, dim, size in named)
        scope.dim_names.update({f"{endpoint.tensor}[{axis}]": dim for axis, dim, size in named if size is None})
    if permutation is not None:
        scope.onnx.remarks[name] = _remark(permutation)
    scope.bind_input(endpoint.tensor, name)


def _dim_name(scope: Scope, endpoint: Endpoint, name: str, axis: int) -> str:
    """The user's name, else N for the first axis of the first input: the batch. Other inputs may have another size: a
    runtime takes sizes of the same name for equal, and gives them the same memory.
    """
    if axis < len(endpoint.dims) and (given := endpoint.dims[axis]) is not None:
        return given
    taken = any("N" in dims for dims in scope.onnx.dims.values())
    return "N" if axis == 0 and not taken else f"{name.removesuffix(':0')}_dim{axis}"


def _remark(permutation: tuple[int, ...]) -> str:
    return f"channels first: axes {', '.join(map(str, permutation))} of TensorFlow's tensor"


def declare_outputs(scope: Scope, endpoints: Iterable[Endpoint]) -> None:
    """Give each output its name: the value's own, or one that the value takes, or else that of an Identity."""
    renamed: dict[str, str] = {}
    for endpoint in {endpoint.tensor: endpoint for endpoint in endpoints}.values():
        permutation = scope.layouts.wanted.get(endpoint.tensor)
        value, name = scope.read(endpoint.tensor, permutation), scope.exported[endpoint.tensor]
        if value != name:
            name = scope.names.take(name)
            if scope.maker(value) is None or value in renamed or value in scope.exported.values():
                scope.onnx.add(OnnxNode("Identity", [value], [name], {}, name))
            else:
                renamed[value] = name
        known = scope.graph.type_of(endpoint.tensor) or TensorType(endpoint.dtype, endpoint.shape)
        scope.onnx.outputs.append(name)
        scope.onnx.types[name] = stored_type(known, permutation)
        scope.name_dims(endpoint.tensor, name, permutation)
        if permutation is not None:
            scope.onnx.remarks[name] = _remark(permutation)
    scope.onnx.rename(renamed)

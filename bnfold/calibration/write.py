"""A checkpoint like the one it came from, with other statistics."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.calibration.statistics import Statistics
from bnfold.errors import ExportError, LoadError
from bnfold.graph import Array, Graph, Node
from bnfold.graph.graph_def import to_graph_def
from bnfold.graph.stages import Variable
from bnfold.graph.tensorflow import message, tensorflow

STATE_FILE = "checkpoint"
"""Names the latest checkpoint of its directory."""

ROLES = {"moving_mean": "mean", "moving_variance": "variance"}


def write_checkpoint(
    prefix: Path,
    target: Path,
    statistics: Sequence[Statistics],
    variables: Mapping[str, Variable],
    *,
    added: Sequence[Node] = (),
    meta: Path | None = None,
    pattern: str | None = None,
) -> Path:
    """Write the checkpoint ``prefix`` anew as ``target``, with ``statistics`` in place of its own.

    Everything else is kept: weights, optimizer slots, the training graph.

    Parameters
    ----------
    prefix, target : Path
        Without ``.meta``, ``.index`` and ``.data``. The directory of ``target`` is made; a ``checkpoint`` file in it
        will name the new one.
    statistics : sequence of Statistics
    variables : mapping of str to Variable
        Of the source, those that were added included.
    added : sequence of Node
        To add to the graph in the ``.meta``.
    meta : Path, optional
        The file with the graph, where it is not that of the same prefix.
    pattern : str, optional
        What TensorFlow's reader takes for the files with the values, where it is not the prefix.

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    LoadError
        When the checkpoint cannot be read, or the target is the source itself.
    ExportError
        When the target cannot be written; what was there stays.
    """
    if os.path.realpath(target) == os.path.realpath(prefix):
        raise LoadError(f"{target} is the checkpoint that is read", hint="name another target")
    values = _stored(prefix, pattern or str(prefix))
    values |= _new_values(statistics, variables)
    graph = _graph(meta or prefix.with_name(f"{prefix.name}.meta"), added)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bnfold-") as folder:
            staged = Path(folder) / target.name
            _save(staged, values)
            staged.with_name(f"{target.name}.meta").write_bytes(graph)
            staged.with_name(STATE_FILE).write_text(f'model_checkpoint_path: "{target.name}"\n')
            for path in sorted(staged.parent.iterdir(), key=lambda path: path.name == STATE_FILE):
                os.replace(path, target.parent / path.name)
    except (OSError, tensorflow().errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).rpartition("; ")[2].partition(" [Op")[0]
        raise ExportError(
            f"{target} cannot be written: {reason}", hint="is the disk full? name another target"
        ) from error
    return target


def _stored(prefix: Path, pattern: str) -> dict[str, Array]:
    tf = tensorflow()
    try:
        reader = tf.train.load_checkpoint(pattern)
        return {name: _array(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, IndexError) as error:  # an OutOfRange comes as an IndexError
        raise LoadError(
            f"the checkpoint {prefix.name} cannot be read: {error}", hint="copy all its files again"
        ) from error


def _array(value: Any) -> Array:
    """``value`` as an array; numpy's own strings lose the zeros at their ends."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def _new_values(statistics: Sequence[Statistics], variables: Mapping[str, Variable]) -> dict[str, Array]:
    """The statistics by the checkpoint's names, in the shape and type of their variables."""
    values = {}
    for found in statistics:
        for role, attribute in ROLES.items():
            variable = variables.get(found.variables.get(role, ""))
            if variable is None:
                raise LoadError(
                    f"batch norm {found.name} has no single variable for its {role.replace('_', ' ')}",
                    hint="partitioned statistics cannot be written",
                    node=found.name,
                )
            array: Array = getattr(found, attribute)
            shape = array.shape if variable.shape is None else tuple(-1 if s is None else s for s in variable.shape)
            values[variable.key or variable.name] = array.reshape(shape).astype(variable.dtype.numpy)
    return values


def _save(prefix: Path, values: Mapping[str, Array]) -> None:
    tf = tensorflow()
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[name]) for name in names],
    )


def _graph(meta: Path, added: Sequence[Node]) -> bytes:
    """The content of the file ``meta``, with the nodes ``added``."""
    try:
        data = meta.read_bytes()
    except OSError as error:
        raise LoadError(f"cannot read {meta}: {error.strerror}", hint="copy all files of the checkpoint") from error
    if added:
        meta_graph: Any = message("protobuf.meta_graph", "MetaGraphDef")
        meta_graph.ParseFromString(data)
        meta_graph.graph_def.node.extend(to_graph_def(Graph(added)).node)
        updates = [node.name for node in added if node.op == "AssignSub"]
        meta_graph.collection_def["update_ops"].node_list.value.extend(updates)
        data = meta_graph.SerializeToString(deterministic=True)
    return data

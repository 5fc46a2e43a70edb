"""A checkpoint like the one it came from, with other statistics."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.calibration.statistics import Statistics
from bnfold.errors import LoadError
from bnfold.graph import Array, Graph, Node
from bnfold.graph.graph_def import to_graph_def
from bnfold.graph.stages import Variable
from bnfold.graph.tensorflow import message, tensorflow

ROLES = {"moving_mean": "mean", "moving_variance": "variance"}


def write_checkpoint(
    prefix: Path,
    target: Path,
    statistics: Sequence[Statistics],
    variables: Mapping[str, Variable],
    *,
    added: Sequence[Node] = (),
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

    Returns
    -------
    Path
        ``target``.

    Raises
    ------
    LoadError
        When the checkpoint cannot be read, or the target is the source itself or cannot be written.
    """
    if target.absolute() == prefix.absolute():
        raise LoadError(f"{target} is the checkpoint that is read", hint="name another target")
    values = _stored(prefix)
    values |= _new_values(statistics, variables)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bnfold-") as folder:
            staged = Path(folder) / target.name
            _save(staged, values)
            _write_graph(prefix, staged, added)
            for path in sorted(staged.parent.iterdir()):
                shutil.move(path, target.parent / path.name)
    except OSError as error:
        raise LoadError(f"{target} cannot be written: {error.strerror}", hint="name another target") from error
    (target.parent / "checkpoint").write_text(f'model_checkpoint_path: "{target.name}"\n')
    return target


def _stored(prefix: Path) -> dict[str, Array]:
    tf = tensorflow()
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        return {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError) as error:
        raise LoadError(
            f"the checkpoint {prefix.name} cannot be read: {error}", hint="copy all its files again"
        ) from error


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


def _write_graph(prefix: Path, target: Path, added: Sequence[Node]) -> None:
    data = prefix.with_name(f"{prefix.name}.meta").read_bytes()
    if added:
        meta_graph: Any = message("protobuf.meta_graph", "MetaGraphDef")
        meta_graph.ParseFromString(data)
        meta_graph.graph_def.node.extend(to_graph_def(Graph(added)).node)
        updates = [node.name for node in added if node.op == "AssignSub"]
        meta_graph.collection_def["update_ops"].node_list.value.extend(updates)
        data = meta_graph.SerializeToString(deterministic=True)
    target.with_name(f"{target.name}.meta").write_bytes(data)

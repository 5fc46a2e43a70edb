"""What bnfold asks TensorFlow to compute: static types, and the values of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bnfold.errors import InferenceError
from bnfold.graph.channels_last import channels_last
from bnfold.graph.dtypes import DType
from bnfold.graph.graph import Array, Graph, Shape, TensorType, node_name
from bnfold.graph.graph_def import to_graph_def
from bnfold.graph.tensorflow import reason_of, tensorflow

LARGE = 4096
"""Constants with more elements than this never enter a GraphDef: they are fed."""


def infer_types(graph: Graph, *, shapes: Mapping[str, Shape] | None = None) -> dict[str, TensorType]:
    """Dtype and static shape of every tensor of ``graph``, by TensorFlow's own shape functions.

    Parameters
    ----------
    graph : Graph
        Without TensorFlow-unknown ops; large constants are not copied.
    shapes : mapping of str to Shape, optional
        Shapes to assume for Placeholders, by node name.

    Raises
    ------
    ValueError
        When TensorFlow refuses the graph; the message is TensorFlow's.
    """
    imported = _import(graph, shapes or {})
    types = {}
    for op in imported.get_operations():
        for tensor in op.outputs:
            types[tensor.name] = TensorType(DType.of_tf(tensor.dtype.as_datatype_enum), _shape(tensor.shape))
    return types


def with_types(graph: Graph, *, like: Graph | None = None) -> Graph:
    """A copy of ``graph`` whose ``types`` are those of `infer_types`.

    Parameters
    ----------
    graph : Graph
    like : Graph, optional
        A typed graph, usually what ``graph`` was made from. If every node of ``graph`` is in it unchanged, so are the
        types, and TensorFlow is not asked again.

    Raises
    ------
    ValueError
        As for `infer_types`.
    """
    typed = graph.copy()
    typed.types = infer_types(graph) if like is None or not _is_part_of(graph, like) else _types_of_part(graph, like)
    return typed


def _is_part_of(graph: Graph, whole: Graph) -> bool:
    """Whether ``graph`` is nodes of ``whole`` and all that they depend on."""
    if graph.functions != whole.functions or graph.producer != whole.producer:
        return False
    complete = all(node_name(tensor) in graph for node in graph for tensor in node.inputs)
    return complete and all(whole.get(node.name) is node and not node.controls for node in graph)


def _types_of_part(graph: Graph, whole: Graph) -> dict[str, TensorType]:
    return {tensor: known for tensor, known in whole.types.items() if node_name(tensor) in graph}


class Session:
    """TensorFlow running one graph, its large constants fed and never copied into a proto.

    Ops that TensorFlow's CPU kernels know only channels last run between transposes (`channels_last`).

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        tf = tensorflow()
        self._graph = _import(channels_last(graph), {})
        config = tf.compat.v1.ConfigProto()
        config.graph_options.optimizer_options.opt_level = -1  # L0: the reference is the graph as it is written
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        self._weights = {f"{name}:0": graph[name].attrs["value"] for name in _large_constants(graph)}

    def run(self, fetches: Sequence[str], feeds: Mapping[str, Array] | None = None) -> list[Array]:
        """The values of the tensors ``fetches``, given ``feeds`` by tensor name."""
        values: list[Array] = self._session.run(list(fetches), {**self._weights, **(feeds or {})})
        return values

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _large_constants(graph: Graph) -> list[str]:
    return [node.name for node in graph if node.op == "Const" and node.attrs["value"].size > LARGE]


def _import(graph: Graph, shapes: Mapping[str, Shape]) -> Any:
    tf = tensorflow()
    if shapes:
        graph = graph.copy()
        for name, shape in shapes.items():
            graph.replace(graph[name].with_attrs(shape=shape))
    graph_def = to_graph_def(graph, without_values=_large_constants(graph))
    imported = tf.Graph()
    try:
        with imported.as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
    except tf.errors.NotFoundError as error:  # an op that TensorFlow does not know
        raise ValueError(error.message) from error
    return imported


def _shape(shape: Any) -> Shape | None:
    return None if shape.rank is None else tuple(shape.as_list())


def run(graph: Graph, fetches: Iterable[str], feeds: Mapping[str, Array] | None = None) -> list[Array]:
    """Run ``graph`` once; see `Session.run`.

    Raises
    ------
    InferenceError
        When TensorFlow fails over it: a division by zero among constants …
    """
    with Session(graph) as session:
        try:
            return session.run(list(fetches), feeds)
        except tensorflow().errors.OpError as error:
            place = getattr(error.op, "name", None)
            raise InferenceError(
                f"TensorFlow cannot compute {place or 'a constant of the graph'}: {reason_of(error)}",
                hint="name an --output that does not depend on it, or save the model again",
                node=place,
            ) from error

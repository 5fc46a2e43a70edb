"""Frozen graphs: a GraphDef in a file, its variables written as constants."""

from __future__ import annotations

from bnfold.errors import LoadError
from bnfold.graph.stages import SourceModel
from bnfold.load.fingerprint import fingerprint
from bnfold.load.functions import inline_calls
from bnfold.load.protos import decode_graph, read_message
from bnfold.load.request import Request
from bnfold.load.tables import fill_tables
from bnfold.load.variables import without_values
from bnfold.load.vocabulary import Vocabularies


def load_frozen_graph(request: Request) -> SourceModel:
    """The GraphDef in a ``.pb`` or ``.pbtxt``.

    What freezing left of the training graph (Switches over constants, assignments) stays; TensorFlow refuses to
    import such a graph, and `infer` cuts it to what the outputs need before it asks TensorFlow anything. Variables
    that were not frozen are refused when they are read.

    Raises
    ------
    LoadError
        When the file is no GraphDef.
    """
    path = request.path
    graph_def = read_message(path, "framework.graph", "GraphDef", what="a TensorFlow graph (a GraphDef)")
    if not graph_def.node or not all(node.name and node.op for node in graph_def.node):
        raise LoadError(
            f"{path.name} is not a TensorFlow graph",
            hint="pass a checkpoint, a SavedModel's directory, a frozen graph (.pb), or a Keras file (.keras, .h5)",
        )
    graph = inline_calls(decode_graph(graph_def, path.name)).graph
    graph = fill_tables(graph, Vocabularies(path.parent))
    return SourceModel(
        path=path,
        kind="frozen graph",
        label=path.name,
        graph=graph,
        variables=without_values(
            graph,
            f"the graph in {path.name} is not frozen",
            "pass the checkpoint instead (its .meta holds the same graph), or freeze the graph first",
        ),
        fingerprint=fingerprint([path]),
    )

"""Before and after folding: constants behind a Cast or a view made plain, equal copies of one kernel made one."""

from __future__ import annotations

from collections import defaultdict

from bnfold.fold.rules import LINEAR_OPS
from bnfold.fold.scene import Scene
from bnfold.graph import Array, Graph, constant

VIEWS = ("Reshape", "ExpandDims", "Squeeze")


def with_plain_constants(graph: Graph) -> Graph:
    """A copy of ``graph`` in which a Cast, view or Identity of a floating-point constant is a constant of its own.

    Keras reads the kernel of a Conv1D through ExpandDims, and a mixed-precision kernel through Cast.
    """
    plain = graph.copy()
    for node in graph.topological():
        if node.op not in ("Cast", *VIEWS):
            continue
        source = plain.find_producer(node.inputs[0])
        while source is not None and source.op == "Identity":
            source = plain.find_producer(source.inputs[0])
        if source is None or source.op != "Const" or not source.attrs["dtype"].is_floating:
            continue
        value, type_ = source.attrs["value"], plain.types[node.output]
        if node.op == "Cast" and type_.dtype.is_floating:
            plain.replace(constant(node.name, value.astype(type_.dtype.numpy)))
        elif node.op in VIEWS and (shape := type_.shape) is not None and shape.count(None) <= bool(value.size):
            plain.replace(constant(node.name, value.reshape([-1 if size is None else size for size in shape])))
    return plain


def share_equal_copies(scene: Scene) -> None:
    """Let the copies of a shared kernel that came out equal (siamese branches with one batch norm) be one."""
    families = defaultdict(list)
    for name, origin in scene.exact.copied.items():
        if name in scene.graph:
            families[origin].append(name)
    for origin, names in families.items():
        distinct: dict[bytes, str] = {}
        for name in [origin, *names] if origin in scene.graph else names:
            value: Array = scene.graph[name].attrs["value"]
            first = distinct.setdefault(value.tobytes(), name)
            if first != name:
                scene.graph.redirect(f"{name}:0", f"{first}:0")


def kernel_sizes(graph: Graph) -> dict[str, int]:
    """Elements of each constant that a linear op reads, by name."""
    sizes = {}
    for node in graph:
        if node.op in LINEAR_OPS:
            for tensor in node.inputs:
                source = graph.find_producer(tensor)
                while source is not None and source.op == "Identity":
                    source = graph.find_producer(source.inputs[0])
                if source is not None and source.op == "Const":
                    sizes[source.name] = source.attrs["value"].size
    return sizes

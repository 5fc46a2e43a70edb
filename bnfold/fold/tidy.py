"""Before and after folding: constants behind a Cast made plain, equal copies of one kernel made one."""

from __future__ import annotations

from collections import defaultdict

from bnfold.fold.rules import LINEAR_OPS
from bnfold.fold.scene import Scene
from bnfold.graph import Array, Graph, TensorType, constant


def with_constant_casts(graph: Graph) -> Graph:
    """A copy of ``graph`` in which a Cast of a floating-point constant is a constant of its own."""
    plain = graph.copy()
    for node in list(graph):
        if node.op != "Cast":
            continue
        value, dtype = plain.value(node.inputs[0]), node.attrs["DstT"]
        if value is not None and dtype.is_floating and node.attrs["SrcT"].is_floating:
            plain.replace(constant(node.name, value.astype(dtype.numpy)))
            plain.types[node.output] = TensorType(dtype, tuple(value.shape))
    return plain


def share_equal_copies(scene: Scene) -> None:
    """Let the copies of a shared kernel that came out equal (siamese branches with one batch norm) be one."""
    families = defaultdict(list)
    for name, origin in scene.exact.copied.items():
        if name in scene.graph:
            families[origin].append(name)
    for names in families.values():
        distinct: dict[bytes, str] = {}
        for name in names:
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

"""TensorFlow 1 loops once control inputs are gone: constants must enter the frame that reads them."""

from __future__ import annotations

from bnfold.graph import Graph, Node, node_name

ENTERS = frozenset({"Enter", "RefEnter"})
EXITS = frozenset({"Exit", "RefExit"})


def enter_constants(graph: Graph) -> Graph:
    """Give every constant that a loop reads an Enter of its own.

    TensorFlow runs each node of a loop in the frame of its inputs. A constant has none; control inputs tied it to
    the loop, and once they are dropped, it is outside.
    """
    frames, enters = _frames(graph)
    if not enters:
        return graph
    graph = graph.copy()
    entered: dict[tuple[str, str], str] = {}
    for name, frame in frames.items():
        node = graph[name]
        wanted = frame[:-1] if node.op in ENTERS else frame
        if wanted:
            inputs = [_entered(graph, tensor, wanted, frames, enters, entered) for tensor in node.inputs]
            graph.replace(node.with_inputs(inputs))
    return graph


def _frames(graph: Graph) -> tuple[dict[str, tuple[str, ...]], dict[str, Node]]:
    """The frames that each node stands in, outermost first, and one Enter of each frame."""
    frames: dict[str, tuple[str, ...]] = {}
    enters: dict[str, Node] = {}
    around: dict[str, tuple[str, ...]] = {}  # frame → the frames that it stands in, which not each Enter's input tells
    order = graph.topological()
    changed = True
    while changed:  # what a loop carries round is visited before it is known where it stands
        changed = False
        for node in order:
            frame = max((frames[name] for t in node.inputs if (name := node_name(t)) in frames), key=len, default=())
            if node.op in ENTERS:
                name = node.attrs["frame_name"]
                enters.setdefault(name, node)
                around[name] = max(frame, around.get(name, ()), key=len)
                frame = (*around[name], name)
            elif node.op in EXITS:
                frame = frame[:-1]
            changed |= frames.get(node.name) != frame
            frames[node.name] = frame
    return frames, enters


def _entered(
    graph: Graph,
    tensor: str,
    wanted: tuple[str, ...],
    frames: dict[str, tuple[str, ...]],
    enters: dict[str, Node],
    entered: dict[tuple[str, str], str],
) -> str:
    """``tensor``, or the Enter that brings it into the frame ``wanted`` if it is a constant outside."""
    source = graph.find_producer(tensor)
    if source is None or source.op != "Const" or len(frames.get(source.name, ())) >= len(wanted):
        return tensor
    inner = tensor
    for frame in wanted[len(frames.get(source.name, ())) :]:
        if (inner, frame) not in entered:
            attrs = {**enters[frame].attrs, "T": source.attrs["dtype"], "is_constant": True}
            name = graph.fresh_name(f"{source.name}/Enter")
            entered[inner, frame] = graph.add(Node(name, "Enter", (inner,), attrs)).output
            if (known := graph.type_of(tensor)) is not None:
                graph.types[entered[inner, frame]] = known
        inner = entered[inner, frame]
    return inner

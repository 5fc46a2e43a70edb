"""Graphs that parse and make no sense: refused when they are loaded, before anything relies on them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bnfold
from bnfold.errors import BnfoldError, LoadError
from bnfold.graph.tensorflow import message
from bnfold.load import load

ROOT = Path(__file__).resolve().parents[2]
FROZEN = ROOT / "sample_models" / "dense_norm" / "dense_norm.pb"
LOOP = ROOT / "tests" / "fixtures" / "recurrent" / "lstm.pb"


def _graph_def(path: Path) -> Any:
    proto = message("framework.graph", "GraphDef")
    proto.ParseFromString(path.read_bytes())
    return proto


def _written(graph_def: Any, folder: Path) -> Path:
    path = folder / "damaged.pb"
    path.write_bytes(graph_def.SerializeToString())
    return path


def _first(graph_def: Any, op: str) -> Any:
    return next(node for node in graph_def.node if node.op == op)


def _without_input(graph_def: Any) -> None:
    del _first(graph_def, "MatMul").input[-1]


def _without_inputs(graph_def: Any) -> None:
    del _first(graph_def, "Rsqrt").input[:]


def _with_one_too_many(graph_def: Any) -> None:
    node = _first(graph_def, "MatMul")
    node.input.append(node.name)


def _without_dtype(graph_def: Any) -> None:
    del _first(graph_def, "Const").attr["dtype"]


def _with_a_number_for_a_type(graph_def: Any) -> None:
    _first(graph_def, "Rsqrt").attr["T"].i = 7


def _with_an_output_too_many(graph_def: Any) -> None:
    node = _first(graph_def, "Rsqrt")
    node.input[0] = f"{node.input[0]}:3"


def _of_another_type(graph_def: Any) -> None:
    node = next(node for node in graph_def.node if node.op == "Const" and node.attr["dtype"].type == 1)
    node.attr["dtype"].type = 2


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_without_input, "a MatMul, has 1 inputs in place of 2"),
        (_without_inputs, "a Rsqrt, has 0 inputs in place of 1"),
        (_with_one_too_many, "a MatMul, has 3 inputs in place of 2"),
        (_without_dtype, "a Const, has no attribute dtype"),
        (_with_a_number_for_a_type, "a Rsqrt, has 7 for its attribute T"),
        (_of_another_type, "a Const, holds float32 in place of float64"),
        (_with_an_output_too_many, "an output that .* does not have"),
    ],
)
def test_graph_is_refused_when_a_node_is_not_what_its_op_says(
    tmp_path: Path, damage: Callable[[Any], None], what: str
) -> None:
    graph_def = _graph_def(FROZEN)
    damage(graph_def)
    with pytest.raises(LoadError, match=what) as refusal:
        load(_written(graph_def, tmp_path))
    assert refusal.value.hint


def test_constants_are_refused_before_they_are_filled_when_they_claim_too_much(tmp_path: Path) -> None:
    """Each repeats one number: 512 MB four times and more, from a file of a few bytes."""
    graph_def = _graph_def(FROZEN)
    for number in range(5):
        node = graph_def.node.add(name=f"huge_{number}", op="Const")
        node.attr["dtype"].type = node.attr["value"].tensor.dtype = 1
        node.attr["value"].tensor.tensor_shape.dim.add().size = 1 << 27
        node.attr["value"].tensor.float_val.append(0.5)
    with pytest.raises(LoadError, match="claim more than 2 GiB, with huge_"):
        load(_written(graph_def, tmp_path))


def test_graph_is_loaded_when_an_op_is_unknown(tmp_path: Path) -> None:
    """Training graphs hold ops of other builds of TensorFlow, whose definitions nobody has here."""
    graph_def = _graph_def(FROZEN)
    graph_def.node.add(name="queue", op="OpOfAnotherBuild").input.append("nowhere:7")
    assert "queue" in load(_written(graph_def, tmp_path)).graph


def test_loop_is_refused_when_its_nodes_have_no_inputs(tmp_path: Path) -> None:
    """TensorFlow's importer ends the process over such a graph."""
    graph_def = _graph_def(LOOP)
    del _first(graph_def, "NextIteration").input[:]
    with pytest.raises(LoadError, match="NextIteration, has 0 inputs"):
        load(_written(graph_def, tmp_path))


# ------------------------------------------------------------------------------------------------- damage at random

_OPS = ("Conv2D", "Switch", "Merge", "Enter", "While", "Const", "Placeholder", "Reshape", "NoSuchOp", "PyFunc", "Split")
_SIZES = (-7, -1, 0, 1, 3, 1 << 31, 1 << 62)


def _renamed(node: Any, nodes: Any, rng: random.Random) -> None:
    node.name = rng.choice([rng.choice(nodes).name, "", "^a", "a:0", "\x00", "../x"])


def _rewired(node: Any, nodes: Any, rng: random.Random) -> None:
    if node.input:
        other = rng.choice(nodes).name
        node.input[rng.randrange(len(node.input))] = rng.choice([other, f"{other}:9", f"^{other}", "nothing", "", ":"])


def _of_another_op(node: Any, nodes: Any, rng: random.Random) -> None:
    node.op = rng.choice(_OPS)


def _fed_by_itself(node: Any, nodes: Any, rng: random.Random) -> None:
    node.input.insert(0, node.name)


def _removed(node: Any, nodes: Any, rng: random.Random) -> None:
    nodes.remove(node)


def _with_another_attribute(node: Any, nodes: Any, rng: random.Random) -> None:
    for name in sorted(node.attr):
        value = node.attr[name]
        if value.HasField("type"):
            value.type = rng.choice([0, 1, 3, 7, 10, 20, 101, 999])
        elif value.HasField("shape"):
            value.shape.dim.add().size = rng.choice(_SIZES)
        elif value.HasField("s"):
            value.s = rng.choice([b"", b"NCHW", b"VALID", b"\xff"])
        elif value.HasField("i"):
            value.i = rng.choice(_SIZES)
        elif value.HasField("tensor"):
            value.tensor.tensor_shape.dim.add().size = rng.choice(_SIZES)


_DAMAGES = (_renamed, _rewired, _of_another_op, _fed_by_itself, _removed, _with_another_attribute)


def _damaged(path: Path, seed: int) -> Any:
    rng = random.Random(seed)
    graph_def = _graph_def(path)
    for _ in range(rng.choice([1, 1, 2, 4])):
        rng.choice(_DAMAGES)(rng.choice(graph_def.node), graph_def.node, rng)
    return graph_def


def _bits(path: Path, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    yield bytes(content)
    yield bytes(content[: rng.integers(len(content))])


@pytest.mark.parametrize("path", [FROZEN, LOOP], ids=lambda path: path.stem)
def test_conversion_is_refused_with_a_hint_or_right_whatever_the_damage(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "model.onnx"
    hints: list[str | None] = []
    refused = 0
    for seed in range(60):
        damaged = _written(_damaged(path, seed), tmp_path)
        contents = [damaged.read_bytes(), *_bits(path, seed)]
        for content in contents:
            damaged.write_bytes(content)
            try:
                bnfold.convert(damaged, target, check=False)
            except BnfoldError as error:
                hints.append(error.hint)
                refused += not target.exists()
            target.unlink(missing_ok=True)
    assert refused == len(hints) > 60
    assert all(hints)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["damaged.pb"]


def test_values_are_refused_when_any_byte_of_the_index_is_another(tmp_path: Path) -> None:
    """Among them those that say where a value lies, so that it ends behind the end of its file."""
    shutil.copytree(ROOT / "tests" / "fixtures" / "sharded", tmp_path / "net")
    (index,) = (tmp_path / "net").glob("*.index")
    content = index.read_bytes()
    hints: list[str | None] = []
    for position in range(0, len(content), 3):
        index.write_bytes(content[:position] + bytes([content[position] ^ 0x40]) + content[position + 1 :])
        try:
            for variable in load(tmp_path / "net").variables.values():
                variable.read()
        except LoadError as error:
            hints.append(error.hint)
    assert len(hints) > len(content) / 9
    assert all(hints)

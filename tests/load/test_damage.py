"""Files that are cut short, overwritten or made to harm: always a LoadError with a hint, never anything else."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.graph.tensorflow import message
from bnfold.load import load


def _load_and_read_all(prefix):
    for variable in load(prefix).variables.values():
        variable.read()


def _file(prefix, suffix):
    (path,) = prefix.parent.glob(f"{prefix.name}{suffix}*")
    return path


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99], ids=lambda kept: f"{kept:.0%} kept")
@pytest.mark.parametrize("suffix", [".meta", ".index", ".data"])
def test_checkpoint_is_refused_when_a_file_is_truncated(saved, tmp_path, suffix, kept):
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, suffix)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(LoadError) as refusal:
        load(prefix)
    assert refusal.value.hint
    assert prefix.name in refusal.value.message


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.95], ids=lambda kept: f"{kept:.0%} kept")
def test_v1_file_is_refused_when_it_is_truncated(tmp_path, save_training_graph, kept):
    prefix = save_training_graph(tmp_path, write_version=1).prefix
    prefix.write_bytes(prefix.read_bytes()[: int(kept * prefix.stat().st_size)])
    with pytest.raises(LoadError) as refusal:
        _load_and_read_all(prefix)
    assert refusal.value.hint


@pytest.mark.parametrize("suffix", [".meta", ".index", ".data"])
def test_checkpoint_is_refused_when_a_file_is_text(saved, tmp_path, suffix):
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, suffix)
    path.write_bytes((b"<html>404: not found</html>\n" * 1000)[: path.stat().st_size])
    with pytest.raises(LoadError) as refusal:
        _load_and_read_all(prefix)
    assert refusal.value.hint


def test_value_is_refused_when_a_bit_of_it_flipped(saved, tmp_path):
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, ".data")
    content = bytearray(path.read_bytes())
    kernel = saved.values["net/dense/kernel"]
    content[bytes(content).index(kernel.tobytes()) + 5] ^= 4
    path.write_bytes(content)
    variables = load(prefix).variables
    with pytest.raises(LoadError, match=r"net/dense/kernel cannot be read from model\.ckpt-7") as refusal:
        variables["net/dense/kernel"].read()
    assert "copy the checkpoint again" in refusal.value.hint
    np.testing.assert_array_equal(variables["net/bn/gamma"].read(), saved.values["net/bn/gamma"])


@pytest.mark.parametrize("suffix", [".index", ".data"])
def test_every_flipped_bit_is_noticed_when_all_is_read(saved, tmp_path, suffix):
    """The index and each value carry a checksum; a flip in padding or in an unread part changes no value."""
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, suffix)
    whole = path.read_bytes()
    rng = np.random.default_rng(11)
    noticed = 0
    for position in rng.integers(0, len(whole), 60):
        content = bytearray(whole)
        content[position] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            source = load(prefix)
            values = {name: variable.read() for name, variable in source.variables.items()}
        except LoadError:
            noticed += 1
            continue
        for name, truth in saved.values.items():
            np.testing.assert_array_equal(values[name], truth)
    assert noticed > 40


def test_nothing_but_a_load_error_is_raised_when_the_graph_is_garbled(saved, tmp_path):
    """A MetaGraph has no checksum: a flip may go unnoticed, but must not end in a traceback."""
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, ".meta")
    whole = path.read_bytes()
    rng = np.random.default_rng(12)
    refused = 0
    for position in rng.integers(0, len(whole), 150):
        content = bytearray(whole)
        content[position] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            _load_and_read_all(prefix)
        except LoadError:
            refused += 1
    assert refused > 10


def _edited(saved, tmp_path, edit):
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, ".meta")
    proto = message("protobuf.meta_graph", "MetaGraphDef")
    proto.ParseFromString(path.read_bytes())
    edit(proto)
    path.write_bytes(proto.SerializeToString())
    return prefix


def _huge_constant(proto):
    node = proto.graph_def.node.add(name="huge", op="Const")
    node.attr["dtype"].type = 1
    tensor = node.attr["value"].tensor
    tensor.dtype = 1
    for _ in range(4):
        tensor.tensor_shape.dim.add(size=1 << 20)
    tensor.float_val.append(1.0)


def _negative_constant(proto):
    _huge_constant(proto)
    proto.graph_def.node[-1].attr["value"].tensor.tensor_shape.dim[0].size = -5


def _twice(proto):
    proto.graph_def.node.add().CopyFrom(proto.graph_def.node[3])


def _unknown_type(proto):
    proto.graph_def.node.add(name="odd", op="Placeholder").attr["dtype"].type = 77


def _no_nodes(proto):
    proto.graph_def.ClearField("node")


def _variable_without_type(proto):
    del next(node for node in proto.graph_def.node if node.op == "VariableV2").attr["dtype"]


def _bad_slice(proto):
    node = next(n for n in proto.graph_def.node if n.name.endswith("SaveV2/shape_and_slices"))
    node.attr["value"].tensor.string_val[0] = b"10 x 0,z:-"


def _slice_beyond(proto):
    node = next(n for n in proto.graph_def.node if n.name.endswith("SaveV2/shape_and_slices"))
    node.attr["value"].tensor.string_val[1] = b"5 3 90,7:-"


@pytest.mark.parametrize(
    "edit",
    [
        _huge_constant,
        _negative_constant,
        _twice,
        _unknown_type,
        _no_nodes,
        _variable_without_type,
        _bad_slice,
        _slice_beyond,
    ],
)
def test_checkpoint_is_refused_when_its_graph_makes_no_sense(saved, tmp_path, edit):
    prefix = _edited(saved, tmp_path, edit)
    with pytest.raises(LoadError) as refusal:
        _load_and_read_all(prefix)
    assert refusal.value.hint


def test_checkpoint_is_refused_when_a_name_is_not_utf8(saved, tmp_path):
    prefix = saved.copied_to(tmp_path)
    path = _file(prefix, ".meta")
    path.write_bytes(path.read_bytes().replace(b"dense/kernel", b"den\xffe/kernel"))
    with pytest.raises(LoadError, match="is not a TensorFlow graph"):
        load(prefix)


def test_checkpoint_is_refused_when_a_tensors_name_is_not_utf8(saved, tmp_path):
    prefix = saved.copied_to(tmp_path)
    for path in tmp_path.glob("*.data-*"):
        path.unlink()
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=[b"w\xff"], shape_and_slices=[""], tensors=[np.float32([1])])
    with pytest.raises(LoadError, match="a name that is not UTF-8"):
        load(prefix)


@pytest.mark.parametrize("name", ["notes.txt", "photo.jpg"])
def test_file_is_refused_when_it_is_no_model(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 some other file " * 50)
    with pytest.raises(LoadError) as refusal:
        load(tmp_path / name)
    assert refusal.value.hint


def test_path_is_refused_when_no_file_can_be_called_that(tmp_path):
    with pytest.raises(LoadError):
        load(tmp_path / ("a" * 5000))

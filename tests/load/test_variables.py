"""Variables bound to tensors by what the Saver says, by name, by renaming; prefixes found."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.graph import DType, Node
from bnfold.load import load
from bnfold.load.saver import Slice, _parse_slice
from bnfold.load.variables import declared, fits, prefix_between, renamed, saved_name

v1 = tf.compat.v1
F32 = DType.named("float32")


@pytest.mark.parametrize(
    ("missing", "keys", "said"),
    [
        (["net/conv/w", "net/conv/b"], ["conv/w", "conv/b"], "net/="),
        (["conv/w", "conv/b"], ["model/conv/w", "model/conv/b", "step"], "=model/"),
        (["a/b/conv/w"], ["conv/w"], "a/b/="),
        (["conv/w", "conv/b"], ["x/y/conv/w", "x/y/conv/b"], "=x/y/"),
        (["net/conv/w", "net/fc/w", "net/fc/b"], ["conv/w", "fc/w"], "net/="),
    ],
    ids=["graph has one", "checkpoint has one", "two scopes", "two in the checkpoint", "most"],
)
def test_prefix_is_said_when_it_explains_what_is_missing(missing, keys, said):
    assert prefix_between(missing, keys).endswith(f"--rename-variables {said}")


@pytest.mark.parametrize(
    ("missing", "keys"),
    [([], ["conv/w"]), (["conv/w"], []), (["conv/w"], ["dense/w"]), (["a/x", "b/y", "c/z"], ["x"]), (["w"], ["ww"])],
    ids=["nothing missing", "nothing there", "other names", "too few", "no scope"],
)
def test_no_prefix_is_said_when_none_explains_it(missing, keys):
    assert prefix_between(missing, keys) is None


@pytest.mark.parametrize(
    ("rename", "name"),
    [({}, "net/w"), ({"net/": ""}, "w"), ({"": "model/"}, "model/net/w"), ({"x": "y", "net": "tower"}, "tower/w")],
    ids=str,
)
def test_beginning_is_replaced_when_a_name_has_it(rename, name):
    assert renamed("net/w", rename) == name


@pytest.mark.parametrize(
    ("actual", "wanted", "answer"),
    [
        ((2, 3), (2, 3), True),
        ((2, 3), (None, 3), True),
        ((2, 3), None, True),
        ((2, 3), (3, 2), False),
        ((6,), (2, 3), False),
    ],
    ids=str,
)
def test_shape_fits_when_no_size_contradicts(actual, wanted, answer):
    assert fits(actual, wanted) is answer


def test_shape_is_unknown_when_the_oldest_op_says_scalar():
    assert declared(Node("v", "Variable", attrs={"dtype": F32, "shape": ()})) == (F32, None)
    assert declared(Node("v", "VariableV2", attrs={"dtype": F32, "shape": ()})) == (F32, ())


def test_name_is_the_shared_one_when_a_handle_has_it():
    assert saved_name(Node("v_1", "VarHandleOp", attrs={"shared_name": "v"})) == "v"
    assert saved_name(Node("v_1", "VarHandleOp", attrs={"shared_name": ""})) == "v_1"
    assert saved_name(Node("v_1", "VariableV2", attrs={"shared_name": "v"})) == "v_1"


def test_slice_is_parsed_when_a_saver_wrote_one():
    assert _parse_slice("") is None
    assert _parse_slice("10 4 5,3:-") == Slice((10, 4), (slice(5, 8), slice(None)))


def test_handle_is_found_by_its_shared_name_when_its_node_has_another(tmp_path):
    """Two graphs of one session: the node is numbered, the variable is not."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.placeholder(tf.float32, name="w")
        weight = v1.get_variable("w", initializer=np.float32([1, 2]), use_resource=True)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "m"))
        (node,) = (op.name for op in session.graph.get_operations() if op.type == "VarHandleOp")
        assert weight.op.name == node
    variable = load(tmp_path).variables[node]
    np.testing.assert_array_equal(variable.read(), [1, 2])


def test_key_of_another_variable_is_not_taken_when_the_saver_put_it_there(tmp_path):
    """The weights saved under the names of their averages, as ``ema.variables_to_restore()`` maps them."""
    with tf.Graph().as_default(), v1.Session() as session:
        weight = v1.get_variable("w", initializer=np.float32([1, 2]), use_resource=False)
        v1.get_variable("w/ExponentialMovingAverage", initializer=np.float32([3, 4]), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver({"w/ExponentialMovingAverage": weight}).save(session, str(tmp_path / "m"))
    variables = load(tmp_path).variables
    np.testing.assert_array_equal(variables["w"].read(), [1, 2])
    assert variables["w/ExponentialMovingAverage"].key is None

"""Training flags: found by what they steer, set to the value under which training stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_graphs import (
    EXACT,
    Net,
    Network,
    convolution,
    error_of,
    head,
    image,
    moving,
    sample_for,
    scale_and_shift,
    source_of,
    truth,
)

from bnfold.errors import InferenceError
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer

tf = tensorflow()
v1 = tf.compat.v1


@pytest.fixture(autouse=True)
def control_flow_v1() -> Any:
    """Conds as Switch and Merge, as TensorFlow 1 writes them."""
    before = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    yield
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def chosen_by(choose: Callable[[Any, Any, Any], Any], flag: Callable[[], Any], inference_value: Any) -> Network:
    """A batch norm whose statistics are ``choose(flag, batch, moving)``; the truth feeds ``inference_value``."""

    def network(training: bool) -> Net:
        x = image()
        switch = flag()
        hidden = convolution(x)
        with v1.variable_scope("bn"):
            gamma, beta = scale_and_shift(int(hidden.shape[-1]))
            pop = moving(int(hidden.shape[-1]))
            batch = tf.nn.moments(hidden, [0, 1, 2])
            for average, moment in zip(pop, batch, strict=True):
                v1.assign_sub(average, 0.1 * (average - moment))
            mean, variance = (choose(switch, b, m) for b, m in zip(batch, pop, strict=True))
            hidden = tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, 1e-3)
        return Net(x, head(hidden), {} if inference_value is None else {switch: inference_value})

    return network


def by_cond(flag: Any, batch: Any, average: Any) -> Any:
    return v1.cond(flag, lambda: tf.identity(batch), lambda: tf.identity(average))


def placeholder(dtype: str, name: str = "flag", shape: Any = ()) -> Callable[[], Any]:
    return lambda: v1.placeholder(dtype, shape, name=name)


FLAGS: dict[str, tuple[Network, str]] = {
    "bool placeholder of unknown shape": (
        chosen_by(by_cond, placeholder("bool", shape=None), False),
        "placeholder flag set to False",
    ),
    "placeholder that is true at inference": (
        chosen_by(lambda f, b, m: by_cond(f, m, b), placeholder("bool"), True),
        "placeholder flag set to True",
    ),
    "negated placeholder": (
        chosen_by(lambda f, b, m: by_cond(tf.logical_not(f), b, m), placeholder("bool"), True),
        "placeholder flag set to True",
    ),
    "float placeholder compared": (
        chosen_by(lambda f, b, m: by_cond(f > 0.5, b, m), placeholder("float32"), 0.0),
        "placeholder flag set to 0.0",
    ),
    "int placeholder compared": (
        chosen_by(lambda f, b, m: by_cond(tf.equal(f, 3), b, m), placeholder("int32"), 0),
        "placeholder flag set to 0",
    ),
    "int placeholder that must be one": (
        chosen_by(lambda f, b, m: by_cond(tf.not_equal(f, 1), b, m), placeholder("int64"), 1),
        "placeholder flag set to 1",
    ),
    "word compared with the one for training": (
        chosen_by(lambda f, b, m: by_cond(tf.equal(f, "train"), b, m), placeholder("string"), "other"),
        "placeholder flag set to ''",
    ),
    "word compared with the one for inference": (
        chosen_by(lambda f, b, m: by_cond(tf.not_equal(f, "test"), b, m), placeholder("string", shape=None), "test"),
        "placeholder flag set to 'test'",
    ),
    "bool cast and blended": (
        chosen_by(
            lambda f, b, m: tf.cast(f, "float32") * b + (1.0 - tf.cast(f, "float32")) * m, placeholder("bool"), False
        ),
        "placeholder flag set to False",
    ),
    "float blended": (
        chosen_by(lambda f, b, m: f * b + (1.0 - f) * m, placeholder("float32"), 0.0),
        "placeholder flag set to 0.0",
    ),
    "where": (
        chosen_by(lambda f, b, m: tf.where(f, b, m), placeholder("bool"), False),
        "placeholder flag set to False",
    ),
    "constant": (
        chosen_by(by_cond, lambda: tf.constant(True, name="flag"), None),
        "constant flag set to False",
    ),
    "placeholder or a constant that says no already": (
        chosen_by(lambda f, b, m: by_cond(tf.logical_or(f, tf.constant(False)), b, m), placeholder("bool"), False),
        "placeholder flag set to False",
    ),
    "placeholder with default": (
        chosen_by(by_cond, lambda: v1.placeholder_with_default(True, [], name="flag"), False),
        "placeholder with default flag set to False",
    ),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flag_is_settled(name: str) -> None:
    network, said = FLAGS[name]
    sample = sample_for(network)
    inference = infer(source_of(network))
    assert [note.message.split(":")[0] for note in inference.notes] == [said]
    assert [endpoint.name for endpoint in inference.inputs] == ["image:0"]
    assert len(inference.batch_norms) == 1
    if name != "constant":
        assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_flag_is_refused_when_its_values_contradict_each_other() -> None:
    """False stops the batch norm's training and starts the dropout."""

    def network(training: bool) -> Net:
        net = chosen_by(by_cond, placeholder("bool"), False)(training)
        graph = v1.get_default_graph()
        flag, logits = graph.get_tensor_by_name("flag:0"), graph.get_tensor_by_name("head/logits:0")
        noise = tf.random.normal(tf.shape(logits))
        return Net(net.x, v1.cond(flag, lambda: tf.identity(logits), lambda: logits * noise, name="answer"))

    with pytest.raises(InferenceError, match="off in one place and on in another") as caught:
        infer(source_of(network), outputs=["answer/Merge"])
    assert "--set flag" in (caught.value.hint or "")


def blended(alpha: Any, low: Any, high: Any) -> Any:
    return (1 - alpha) * low + alpha * high


def either(alpha: Any, low: Any, high: Any) -> Any:
    return v1.cond(alpha < 0.5, lambda: tf.identity(low), lambda: tf.identity(high))


@pytest.mark.parametrize("join", [blended, either], ids=lambda join: join.__name__)
def test_scalar_stays_an_input_when_it_chooses_between_paths_with_kernels_of_their_own(join: Any) -> None:
    """A path that is faded in as training grows the net: the other is no inference graph for having no batch norm."""

    def network(training: bool) -> Net:
        x = image()
        alpha = v1.placeholder("float32", [], name="alpha")
        low = convolution(x, "low", 3)
        with v1.variable_scope("high"):
            hidden = convolution(x)
            gamma, beta = scale_and_shift(7)
            pop = moving(7)
            y, *batch = v1.nn.fused_batch_norm(hidden, gamma, beta, is_training=True)
            for average, moment in zip(pop, batch, strict=True):
                v1.assign_sub(average, 0.1 * (average - moment))
            if not training:
                y, *_ = v1.nn.fused_batch_norm(hidden, gamma, beta, *pop, is_training=False)
            high = convolution(tf.nn.relu(y), "colours", 3)
        return Net(x, head(join(alpha, low, high)), {alpha: 0.7})

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert [endpoint.name for endpoint in inference.inputs] == ["image:0", "alpha:0"]
    assert error_of(inference, sample, truth(network, sample), {"alpha:0": np.float32(0.7)}) < EXACT


def test_flag_is_found_when_its_branches_are_functions_that_move_the_averages_themselves() -> None:
    """TensorFlow 2 writes a cond as two functions, and the updates are ops of one of them."""

    def network(training: bool) -> Net:
        x = image()
        flag = v1.placeholder("bool", [], name="first_half")
        hidden = convolution(x)
        with v1.variable_scope("bn", use_resource=True):
            gamma, beta = scale_and_shift(7)
            pop = moving(7)

        def of_the_batch() -> list[Any]:
            batch = tf.nn.moments(hidden, [0, 1, 2])
            moves = [v1.assign_sub(a, 0.1 * (a - b)) for a, b in zip(pop, batch, strict=True)]
            with tf.control_dependencies(moves):
                return [tf.identity(moment) for moment in batch]

        mean, variance = v1.cond(flag, of_the_batch, lambda: [tf.identity(average) for average in pop])
        return Net(x, head(tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, 1e-3)), {flag: False})

    v1.enable_control_flow_v2()
    sample = sample_for(network)
    inference = infer(source_of(network))
    assert [endpoint.name for endpoint in inference.inputs] == ["image:0"]
    assert [note.kind for note in inference.notes] == ["training-flag"]
    assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_flag_is_found_when_it_is_handed_into_a_branch_that_stays() -> None:
    """A norm for each domain, of which an input chooses one: the flag's conditionals stand inside the input's."""

    def network(training: bool) -> Net:
        x = image()
        flag = v1.placeholder("bool", [], name="frozen")
        source = v1.placeholder("bool", [], name="is_source")
        hidden = convolution(x)

        def normed(domain: str) -> Any:
            with v1.variable_scope(domain):
                gamma, beta = scale_and_shift(7)
                pop = moving(7)
                batch = tf.nn.moments(hidden, [0, 1, 2])
                for average, moment in zip(pop, batch, strict=True):
                    v1.assign_sub(average, 0.1 * (average - moment))
                chosen = (by_cond(flag, m, b) for b, m in zip(batch, pop, strict=True))
                mean, variance = chosen
                return tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, 1e-3)

        y = v1.cond(source, lambda: normed("near"), lambda: normed("far"))
        return Net(x, head(y), {flag: True, source: False})

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert [endpoint.name for endpoint in inference.inputs] == ["image:0", "is_source:0"]
    assert [note.message.split(":")[0] for note in inference.notes] == ["placeholder frozen set to True"]
    assert error_of(inference, sample, truth(network, sample), {"is_source:0": np.bool_(False)}) < EXACT


def test_flag_is_what_the_user_sets() -> None:
    """Against the dataflow too: the word of the user counts, and is then refused for want of statistics."""
    network = chosen_by(by_cond, placeholder("bool"), False)
    sample = sample_for(network)
    inference = infer(source_of(network), set_values={"flag": False})
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    assert not [note for note in inference.notes if note.kind == "training-flag"]


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("flog", False, "no such node"), ("flag", 0.5, "of type bool"), ("conv/Conv2D", 1, "it is a Conv2D")],
)
def test_set_value_is_refused_when_it_cannot_be(name: str, value: Any, word: str) -> None:
    network = chosen_by(by_cond, placeholder("bool"), False)
    with pytest.raises(InferenceError, match=word):
        infer(source_of(network), set_values={name: value})


def test_unset_flag_suggests_a_name_when_it_is_misspelt() -> None:
    network = chosen_by(by_cond, placeholder("bool"), False)
    with pytest.raises(InferenceError) as caught:
        infer(source_of(network), set_values={"flagg": False})
    assert "did you mean flag" in (caught.value.hint or "")


def test_scalar_is_fixed_when_the_user_sets_it() -> None:
    def network(training: bool) -> Net:
        x = image()
        factor = v1.placeholder("float32", [], name="temperature")
        return Net(x, head(convolution(x) / factor), {factor: 2.5})

    sample = sample_for(network)
    inference = infer(source_of(network), set_values={"temperature:0": 2.5})
    assert [endpoint.name for endpoint in inference.inputs] == ["image:0"]
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    assert np.isfinite(truth(network, sample)).all()


@pytest.mark.parametrize("is_asked", [False, True])
def test_default_is_taken_when_the_user_does_not_ask_for_the_scalar(is_asked: bool) -> None:
    def network(training: bool) -> Net:
        x = image()
        factor = v1.placeholder_with_default(2.5, [], name="temperature")
        return Net(x, head(convolution(x) / factor), {factor: 0.5} if is_asked else {})

    sample = sample_for(network)
    inference = infer(source_of(network), inputs={"image": None, "temperature": None} if is_asked else None)
    feeds = {"temperature:0": 0.5} if is_asked else {}
    assert error_of(inference, sample, truth(network, sample), feeds) < EXACT
    assert [e.name for e in inference.inputs] == ["image:0", *feeds]
    assert [note.kind for note in inference.notes] == ([] if is_asked else ["default-taken"])

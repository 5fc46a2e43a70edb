"""Make the sample models: small checkpoints that TensorFlow 1.15 saved in the middle of training.

TensorFlow 1.15 runs on Python 3.7 and no later::

    python3.7 -m venv tf1
    tf1/bin/pip install tensorflow==1.15.5 "protobuf<3.21"
    tf1/bin/python sample_models/make_samples.py              # all of them, or name some

Each sample is a whole *training* graph (gradients, optimizer slots, losses, update ops, summaries) with its
variables, as ``tf.train.Saver`` writes it. Beside it stand

``expected.npz``
    ``input``, and the ``output`` that TensorFlow 1.15 computes from it when the same network is rebuilt with
    ``is_training=False`` and restored from the checkpoint; ``input_name`` and ``output_name`` say where they belong.
``fates.json``
    for each batch norm, by the name scope of its ops: ``fate`` ("folded" or "kept"), ``into`` (the linear op that
    absorbs it) or ``reason`` (why it stays), and ``statistics`` ("trained" or "never_updated").

The script fails if a sample would prove nothing: when batch statistics give the same output as the moving
statistics, or when a parameter is trivial (gamma all positive, beta or mean 0).
"""

import json
import os
import shutil
import sys
from collections import namedtuple

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf  # noqa: E402  (after its log level is set)
from tensorflow.contrib import layers, slim  # noqa: E402

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 2019

# What a network function returns. `flag` is the placeholder that says "training", or None where that is baked in.
Net = namedtuple("Net", ["input", "output", "logits", "flag"])
Net.__new__.__defaults__ = (None,)

# What a sample is made from.
#   network(is_training) -> Net           builds the forward graph
#   loss(net) -> (loss, labels)           builds the loss and its label placeholder
#   batch(rng, size) -> (inputs, labels)  draws training data
#   optimizer() -> tf.train.Optimizer
#   probe(rng) -> inputs                  the input of expected.npz
#   fates                                 the content of fates.json
Sample = namedtuple("Sample", ["network", "loss", "batch", "optimizer", "steps", "probe", "fates"])


def folded(into, statistics="trained"):
    """Return the fate of a batch norm that the linear op `into` absorbs."""
    return {"fate": "folded", "into": into, "statistics": statistics}


def kept(reason, statistics="trained"):
    """Return the fate of a batch norm that stays, for a `reason`."""
    return {"fate": "kept", "reason": reason, "statistics": statistics}


def signed_gamma(shape, dtype=None, partition_info=None):
    """Initialise gamma to ±0.5 … ±1.5, every third of them below 0: training may leave gamma anywhere."""
    gamma = np.random.RandomState(SEED).uniform(0.5, 1.5, shape)
    gamma[::3] *= -1
    return tf.constant(gamma, dtype or tf.float32)


# ------------------------------------------------------------------------------------------ separable_segmenter


def segmenter_network(is_training):
    """U-Net of separable convolutions: its ops live under ``input/``, its variables do not.

    ``slim.batch_norm`` has no gamma unless asked. The kernels start small, so that each batch norm sees a variance
    far below its epsilon of 1e-3.
    """
    scope = slim.arg_scope(
        [slim.separable_conv2d],
        depth_multiplier=1,
        weights_initializer=tf.truncated_normal_initializer(stddev=0.055),
        normalizer_fn=slim.batch_norm,
        normalizer_params={"is_training": is_training, "decay": 0.9},
    )
    with tf.name_scope("input"), scope:
        image = tf.placeholder(tf.float32, [None, 16, 24, 3], name="image")
        with tf.variable_scope("conv1"):
            fine = slim.separable_conv2d(image, 32, [3, 3], scope="conv1_1")
            fine = slim.separable_conv2d(fine, 32, [3, 3], scope="conv1_2")
        coarse = slim.max_pool2d(fine, [2, 2], scope="pool1")
        with tf.variable_scope("conv2"):
            coarse = slim.separable_conv2d(coarse, 32, [3, 3], scope="conv2_1")
            coarse = slim.separable_conv2d(coarse, 32, [3, 3], scope="conv2_2")
        coarse = tf.image.resize_bilinear(coarse, [16, 24], name="up1")
        both = tf.concat([coarse, fine], axis=3, name="concat1")
        with tf.variable_scope("conv3"):
            both = slim.separable_conv2d(both, 32, [3, 3], scope="conv3_1")
        logits = slim.conv2d(
            both, 1, [1, 1], activation_fn=None, weights_regularizer=slim.l2_regularizer(1e-3), scope="logits"
        )
    return Net(image, logits, logits)


def segmenter_loss(net):
    """Sigmoid cross entropy of each pixel, with the accuracy in a summary."""
    mask = tf.placeholder(tf.float32, [None, 16, 24, 1], name="mask")
    loss = tf.losses.sigmoid_cross_entropy(mask, net.logits)
    hit = tf.equal(net.logits > 0, mask > 0.5)
    tf.summary.scalar("accuracy", tf.reduce_mean(tf.cast(hit, tf.float32)))
    return loss, mask


def segmenter_batch(rng, size):
    """Faint noisy images with a bright disc, and the disc as the mask."""
    rows, columns = np.mgrid[0:16, 0:24]
    centre = rng.uniform([5, 5], [11, 19], (size, 2))
    distance = np.hypot(rows - centre[:, 0, None, None], columns - centre[:, 1, None, None])
    mask = (distance < 5)[..., None]
    images = 0.1 * rng.randn(size, 16, 24, 3) + mask * rng.uniform(0.1, 0.3, (size, 1, 1, 3))
    return images, mask


SEGMENTER = Sample(
    network=segmenter_network,
    loss=segmenter_loss,
    batch=segmenter_batch,
    optimizer=lambda: tf.train.MomentumOptimizer(0.0002, 0.9),
    steps=200,
    probe=lambda rng: segmenter_batch(rng, 2)[0] * [[[[0.5]]], [[[1.5]]]],
    fates={
        "input/" + block + "/BatchNorm": folded("input/" + block + "/separable_conv2d")
        for block in ["conv1/conv1_1", "conv1/conv1_2", "conv2/conv2_1", "conv2/conv2_2", "conv3/conv3_1"]
    },
)


# ---------------------------------------------------------------------------------------------------- dense_norm


def dense_network(is_training):
    """Dense net on 8 features; rank-2 batch norms are made of Rsqrt, Mul, Sub and AddV2, not of one fused op."""

    def norm(x, name):
        return tf.layers.batch_normalization(
            x, momentum=0.8, training=is_training, gamma_initializer=signed_gamma, name=name
        )

    features = tf.placeholder(tf.float32, [None, 8], name="features")
    hidden = norm(features, "standardise")
    hidden = tf.layers.dense(hidden, 8, name="hidden")
    hidden = tf.tanh(norm(hidden, "hidden_norm"))
    hidden = tf.nn.relu(norm(hidden, "between_norm"))
    prediction = tf.layers.dense(hidden, 3, name="prediction")
    return Net(features, prediction, prediction)


def dense_loss(net):
    """Mean squared error."""
    target = tf.placeholder(tf.float32, [None, 3], name="target")
    return tf.losses.mean_squared_error(target, net.output), target


def dense_batch(rng, size):
    """Correlated features with large means, and three functions of them."""
    features = rng.randn(size, 8) * np.arange(1, 9) + np.linspace(-20, 30, 8)
    waves = np.sin(features * np.linspace(0.1, 0.9, 8))
    target = np.stack([waves.sum(1), waves[:, :4].sum(1), features.mean(1) / 5], axis=1)
    return features, target


DENSE = Sample(
    network=dense_network,
    loss=dense_loss,
    batch=dense_batch,
    optimizer=lambda: tf.train.AdamOptimizer(0.01),
    steps=200,
    probe=lambda rng: dense_batch(rng, 4)[0] * 1.2,
    fates={
        "standardise": folded("hidden/MatMul"),
        "hidden_norm": folded("hidden/MatMul"),
        "between_norm": kept("no_linear_op"),
    },
)


# --------------------------------------------------------------------------------------------------- phase_train


def phase_network(is_training):
    """Dense and convolutional block whose batch norms hang on a bool placeholder, so each stands under a ``tf.cond``.

    To train, the flag is a placeholder; for the truth it is the constant False.
    """
    phase_train = tf.placeholder(tf.bool, [], name="phase_train") if is_training else False

    def norm(x, scope):
        return layers.batch_norm(
            x,
            decay=0.8,
            center=True,
            scale=True,
            is_training=phase_train,
            param_initializers={"gamma": signed_gamma},
            scope=scope,
        )

    signal = tf.placeholder(tf.float32, [None, 20], name="signal")
    hidden = layers.fully_connected(signal, 6 * 5 * 4, activation_fn=None, scope="fc1")
    hidden = tf.nn.relu(norm(hidden, "fc1_bn"))
    hidden = tf.reshape(hidden, [-1, 6, 5, 4])
    hidden = layers.conv2d(hidden, 7, [3, 3], stride=2, activation_fn=None, scope="conv1")
    hidden = tf.nn.relu(norm(hidden, "conv1_bn"))
    logits = layers.fully_connected(layers.flatten(hidden), 4, activation_fn=None, scope="logits")
    output = tf.nn.softmax(logits, name="probabilities")
    return Net(signal, output, logits, phase_train if is_training else None)


def class_loss(net):
    """Softmax cross entropy, with the accuracy in a summary."""
    labels = tf.placeholder(tf.int64, [None], name="labels")
    loss = tf.losses.sparse_softmax_cross_entropy(labels, net.logits)
    hit = tf.equal(tf.argmax(net.logits, 1), labels)
    tf.summary.scalar("accuracy", tf.reduce_mean(tf.cast(hit, tf.float32)))
    return loss, labels


def phase_batch(rng, size):
    """Noisy sine waves, of four frequencies."""
    labels = rng.randint(0, 4, size)
    time = np.arange(20) + rng.rand(size, 1) * 20
    return 2 * np.sin(time * (labels[:, None] + 1) * 0.3) + rng.randn(size, 20) + 0.5, labels


PHASE = Sample(
    network=phase_network,
    loss=class_loss,
    batch=phase_batch,
    optimizer=lambda: tf.train.AdamOptimizer(0.005),
    steps=150,
    probe=lambda rng: phase_batch(rng, 3)[0] * 1.5,
    fates={"fc1_bn": folded("fc1/MatMul"), "conv1_bn": folded("conv1/Conv2D")},
)


# --------------------------------------------------------------------------------------------------------- decay


def image_batch(rng, size):
    """Images of gratings with four slopes."""
    labels = rng.randint(0, 4, size)
    rows, columns = np.mgrid[0:10, 0:12]
    slope = np.array([[1, 0], [0, 1], [1, 1], [1, -1]])[labels]
    phase = slope[:, 0, None, None] * rows + slope[:, 1, None, None] * columns + rng.rand(size, 1, 1) * 6
    return np.sin(phase)[..., None] * [1, 0.5, 2] + 0.3 * rng.randn(size, 10, 12, 3) + 0.4, labels


def decay_sample(decay, statistics):
    """Return the sample whose moving statistics follow each batch wholly (`decay` 0) or never (`decay` 1)."""

    def network(is_training):
        image = tf.placeholder(tf.float32, [None, 10, 12, 3], name="image")
        hidden = layers.conv2d(image, 6, [3, 3], activation_fn=None, scope="conv")
        hidden = layers.batch_norm(
            hidden,
            decay=decay,
            scale=True,
            activation_fn=tf.nn.relu,
            is_training=is_training,
            param_initializers={"gamma": signed_gamma},
            scope="bn",
        )
        hidden = layers.max_pool2d(hidden, [2, 2], scope="pool")
        logits = layers.fully_connected(layers.flatten(hidden), 4, activation_fn=None, scope="logits")
        return Net(image, logits, logits)

    return Sample(
        network=network,
        loss=class_loss,
        batch=image_batch,
        optimizer=lambda: tf.train.MomentumOptimizer(0.02, 0.9),
        steps=60,
        probe=lambda rng: image_batch(rng, 2)[0] * 0.7,
        fates={"bn": folded("conv/Conv2D", statistics)},
    )


# ------------------------------------------------------------------------------------------------ channels_first


def channels_network(is_training, data_format="NCHW"):
    """Convolutions and batch norms over axis 1: one batch norm fused, one of primitives.

    With `data_format` "NHWC" the same network, same variables, channels last: the twin that a CPU can run.
    """
    keras_format, axis, space = {
        "NCHW": ("channels_first", 1, [2, 3]),
        "NHWC": ("channels_last", 3, [1, 2]),
    }[data_format]
    shape = {"NCHW": [None, 3, 10, 12], "NHWC": [None, 10, 12, 3]}[data_format]

    def block(x, filters, strides, fused, name):
        x = tf.layers.conv2d(
            x, filters, 3, strides, "same", data_format=keras_format, use_bias=False, name=name + "_conv"
        )
        x = tf.layers.batch_normalization(
            x,
            axis=axis,
            momentum=0.8,
            training=is_training,
            fused=fused,
            gamma_initializer=signed_gamma,
            name=name + "_norm",
        )
        return tf.nn.relu(x)

    image = tf.placeholder(tf.float32, shape, name="image")
    hidden = block(image, 5, 1, True, "first")
    hidden = tf.layers.max_pooling2d(hidden, 2, 2, data_format=keras_format, name="pool")
    hidden = block(hidden, 7, 2, False, "second")
    logits = tf.layers.dense(tf.reduce_mean(hidden, space), 4, name="logits")
    return Net(image, logits, logits)


CHANNELS = Sample(
    network=lambda is_training: channels_network(is_training, "NHWC"),
    loss=class_loss,
    batch=image_batch,
    optimizer=lambda: tf.train.MomentumOptimizer(0.05, 0.9),
    steps=80,
    probe=lambda rng: image_batch(rng, 2)[0] * 0.7,
    fates={"first_norm": folded("first_conv/Conv2D"), "second_norm": folded("second_conv/Conv2D")},
)


# ------------------------------------------------------------------------------------- train, save, and tell the truth


def session():
    """Return a session of one thread: sums in one order give the same file each time."""
    config = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    return tf.Session(config=config)


def training_graph(sample, network):
    """Build forward graph, loss, summaries and train op in the default graph; return the ends of it."""
    tf.set_random_seed(SEED)
    net = network(True)
    task_loss, labels = sample.loss(net)
    loss = tf.losses.get_total_loss()
    tf.summary.scalar("loss", loss)
    train = slim.learning.create_train_op(loss, sample.optimizer())
    tf.summary.merge_all()
    return net, labels, task_loss, train


def saver(**options):
    """Return a Saver that names its files by their relative paths."""
    return tf.train.Saver(save_relative_paths=True, **options)


def train_and_save(sample, folder):
    """Train a sample and save it; return the prefix of the checkpoint."""
    rng = np.random.RandomState(SEED)
    with tf.Graph().as_default(), session() as sess:
        net, labels, loss, train = training_graph(sample, sample.network)
        sess.run(tf.global_variables_initializer())
        losses = []
        for _ in range(sample.steps):
            inputs, targets = sample.batch(rng, 16)
            feed = {net.input: inputs, labels: targets}
            if net.flag is not None:
                feed[net.flag] = True
            losses.append(sess.run([loss, train], feed)[0])
        print("  task loss %.3f -> %.3f" % (losses[0], losses[-1]))
        return saver().save(sess, os.path.join(folder, "model.ckpt"), global_step=tf.train.get_global_step())


def save_channels_first(sample, folder):
    """Train the channels-last twin, and save its variables from the channels-first training graph.

    TensorFlow 1.15 has no NCHW convolution for the CPU, but it builds the graph, gradients and all, and a Saver
    runs none of it. Kernels are HWIO and the statistics one per channel in both layouts, so the twin's variables
    (optimizer slots too) are the channels-first network's. Likewise the truth is the twin's, with its input transposed.
    """
    twin = train_and_save(sample, os.path.join(folder, "twin"))
    with tf.Graph().as_default(), session() as sess:
        training_graph(sample, lambda is_training: channels_network(is_training, "NCHW"))
        saver().restore(sess, twin)
        prefix = saver().save(sess, os.path.join(folder, os.path.basename(twin)))
    shutil.rmtree(os.path.dirname(twin))
    return prefix


def true_output(sample, prefix, inputs):
    """Rebuild the network with ``is_training=False``, restore it, and run it.

    Returns the entries of ``expected.npz``; the slim way, logits are stored too where a softmax follows them.
    """
    with tf.Graph().as_default(), session() as sess:
        net = sample.network(False)
        saver().restore(sess, prefix)
        entries = {"input": inputs, "input_name": net.input.name}
        tensors = {"output": net.output}
        if net.logits is not net.output:
            tensors["logits"] = net.logits
        for key, value in sess.run(tensors, {net.input: inputs}).items():
            entries[key] = value
            entries[key + "_name"] = tensors[key].name
        return entries


def batch_output(sample, prefix, inputs):
    """Return what the training graph makes of the inputs: batch statistics in every batch norm."""
    with tf.Graph().as_default(), session() as sess:
        net = sample.network(True)
        saver().restore(sess, prefix)
        feed = {net.input: inputs}
        if net.flag is not None:
            feed[net.flag] = True
        return sess.run(net.output, feed)


def check_parameters(sample, prefix):
    """Assert that no parameter of a batch norm is trivial; return the moving variances."""
    reader = tf.train.load_checkpoint(prefix)
    trained = all(fate["statistics"] == "trained" for fate in sample.fates.values())
    variances = []
    for name in sorted(reader.get_variable_to_shape_map()):
        value = reader.get_tensor(name)
        if name.endswith("/gamma"):
            assert (value < 0).any() and (value > 0).any() and (value != 1).all(), name
        elif name.endswith("/beta"):
            assert (value != 0).all(), name
        elif name.endswith("/moving_mean"):
            assert (value != 0).all() if trained else (value == 0).all(), name
        elif name.endswith("/moving_variance"):
            assert (value != 1).all() if trained else (value == 1).all(), name
            variances.append(value)
    return np.concatenate(variances)


def make(sample, folder, save=train_and_save, layout=None):
    """Make one sample in `folder`: train, save, write ``expected.npz`` and ``fates.json``.

    `save` trains the sample into a folder and returns the prefix of the checkpoint. Where the saved graph has another
    layout than ``sample.network``, `layout` is the permutation from the inputs of the one to those of the other.
    """
    print(os.path.relpath(folder, HERE))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    prefix = save(sample, folder)
    inputs = sample.probe(np.random.RandomState(SEED + 1)).astype(np.float32)

    variances = check_parameters(sample, prefix)
    entries = true_output(sample, prefix, inputs)
    wrong = batch_output(sample, prefix, inputs)
    distance = np.abs(wrong - entries["output"]).max() / np.abs(entries["output"]).max()
    print("  moving variances %.1e to %.1e" % (variances.min(), variances.max()))
    print("  batch statistics would be off by %.0f %% of the largest output" % (100 * distance))
    assert distance > 0.02, "batch and moving statistics agree"

    if layout is not None:
        entries["input"] = inputs.transpose(layout)
    np.savez(os.path.join(folder, "expected.npz"), **entries)
    with open(os.path.join(folder, "fates.json"), "w") as file:
        json.dump(sample.fates, file, indent=2)
        file.write("\n")
    return prefix


def freeze(sample, prefix, target):
    """Write the inference graph of a sample with its variables as constants, the way of ``freeze_graph``."""
    with tf.Graph().as_default() as graph, session() as sess:
        net = sample.network(False)
        saver().restore(sess, prefix)
        frozen = tf.graph_util.convert_variables_to_constants(sess, graph.as_graph_def(), [net.output.op.name])
    with open(target, "wb") as file:
        file.write(frozen.SerializeToString())


# ----------------------------------------------------------------------------------------------------- the samples


def separable_segmenter(folder):
    """Make the U-Net, and see that its variances are far below epsilon."""
    variances = check_parameters(SEGMENTER, make(SEGMENTER, folder))
    assert variances.min() > 5e-7 and variances.max() < 5e-5, variances


def dense_norm(folder):
    """Make the dense net, as a checkpoint and frozen."""
    freeze(DENSE, make(DENSE, folder), os.path.join(folder, "dense_norm.pb"))


def phase_train(folder):
    """Make the net with the bool placeholder."""
    make(PHASE, folder)


def decay(folder):
    """Make the same net twice, once without memory and once without learning."""
    make(decay_sample(0.0, "trained"), os.path.join(folder, "zero"))
    make(decay_sample(1.0, "never_updated"), os.path.join(folder, "one"))


def channels_first(folder):
    """Make the NCHW net."""
    make(CHANNELS, folder, save_channels_first, layout=[0, 3, 1, 2])


SAMPLES = [separable_segmenter, dense_norm, phase_train, decay, channels_first]


def main(names):
    """Make the samples named, or all of them."""
    for sample in SAMPLES:
        if not names or sample.__name__ in names:
            sample(os.path.join(HERE, sample.__name__))


if __name__ == "__main__":
    main(sys.argv[1:])

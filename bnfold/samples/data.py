"""Samples of the user's own: arrays, ``.npz`` or ``.npy`` files, a folder of images, anything that yields arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Shape
from bnfold.graph.stages import Endpoint
from bnfold.graph.tensorflow import tensorflow
from bnfold.samples.batches import Batch, Feeds
from bnfold.samples.ranges import InputRange

Data = str | Path | Array | Mapping[str, Array] | Iterable[Any]
"""What ``data`` may be."""

AT_ONCE = 8
"""Samples run together where the batch is open."""

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

_TEXT = "OSU"
"""Kinds of numpy's dtypes that hold strings."""

_OTHERS = "cmM"
"""Kinds that a cast to another kind leaves a part of behind: complex numbers, times."""


def data_label(data: Data) -> str:
    """The name to print for ``data``."""
    return Path(data).name if isinstance(data, str | Path) else "given"


def batches_of(
    data: Data, inputs: Sequence[Endpoint], shapes: Mapping[str, Shape], ranges: Mapping[str, InputRange]
) -> Iterator[Batch]:
    """The samples of ``data`` in runs of at most `AT_ONCE`, or of the graph's fixed batch.

    Parameters
    ----------
    data : path, ndarray, mapping of str to ndarray, or iterable of these
        Arrays go to inputs by name, with or without ``:0``; a single array goes to the only input. The first axis
        is the batch; an array of one rank less than its input is one sample.
    inputs : sequence of Endpoint
    shapes : mapping of str to Shape
        By tensor: what the graph and the file allow.
    ranges : mapping of str to InputRange
        Images are scaled to it: bytes as they are, or fractions.

    Raises
    ------
    VerificationError
        When there is nothing to read, a name is unknown, a shape does not fit, or fewer samples are given than the
        fixed batch.
    """
    first = 0
    for item in _items(data, inputs, shapes, ranges):
        feeds = _feeds(item, inputs, shapes)
        for chunk, size in _chunks(feeds, inputs, shapes):
            yield Batch("data", tuple(f"data {i}" for i in range(first, first + size)), chunk)
            first += size
    if not first:
        raise VerificationError(
            f"{data_label(data)} holds no whole batch of samples", hint="an empty comparison proves nothing"
        )


def _items(
    data: Data, inputs: Sequence[Endpoint], shapes: Mapping[str, Shape], ranges: Mapping[str, InputRange]
) -> Iterator[Any]:
    if isinstance(data, str | Path):
        yield from _read(Path(data), inputs, shapes, ranges)
    elif isinstance(data, Mapping) or hasattr(data, "__array__"):
        yield data
    else:
        yield from data


def _read(
    path: Path, inputs: Sequence[Endpoint], shapes: Mapping[str, Shape], ranges: Mapping[str, InputRange]
) -> Iterator[Any]:
    if os.path.isdir(path):
        yield from _images(path, inputs, shapes, ranges)
        return
    if path.suffix not in (".npz", ".npy"):
        raise VerificationError(f"{path.name} is no kind of data", hint="pass .npz, .npy or a folder of images")
    content = _content(path)
    yield content if isinstance(content, np.ndarray) else _named(content, inputs, path.name)


def _content(path: Path) -> Array | dict[str, Array]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return dict(loaded)
    except FileNotFoundError as error:
        raise VerificationError(f"no data at {path}", hint="pass .npz, .npy or a folder of images") from error
    except Exception as error:  # what numpy, zipfile and the parsers of headers raise on damaged files
        # Of objects and of what is no array at all numpy says to allow pickles; nothing from a file is executed.
        why = "it holds no arrays of numbers" if "pickle" in str(error) else str(error)
        raise VerificationError(
            f"{path.name} cannot be read: {why}", hint="write it with np.save or np.savez"
        ) from error


def _named(arrays: dict[str, Array], inputs: Sequence[Endpoint], label: str) -> Mapping[str, Array] | Array:
    """The arrays of an ``.npz`` that are inputs: it may hold others, expected outputs among them."""
    known = {name for endpoint in inputs for name in _keys(endpoint)}
    if any(key in known for key in arrays):
        return {key: value for key, value in arrays.items() if key in known}
    if len(inputs) == 1 and len(arrays) == 1:
        return next(iter(arrays.values()))
    for key in ("input", "inputs", "x", "images", "image", "data"):
        if len(inputs) == 1 and key in arrays:
            return arrays[key]
    raise VerificationError(
        f"{label} has arrays {', '.join(arrays)}, none named as an input",
        hint=f"name them {', '.join(endpoint.name for endpoint in inputs)}",
    )


def _keys(endpoint: Endpoint) -> tuple[str, ...]:
    names = (endpoint.name, endpoint.tensor)
    return (*names, *(name.rpartition(":")[0] for name in names))


def _feeds(item: Any, inputs: Sequence[Endpoint], shapes: Mapping[str, Shape]) -> Feeds:
    if not isinstance(item, Mapping):
        if len(inputs) != 1:
            names = ", ".join(endpoint.name for endpoint in inputs)
            raise VerificationError(f"one array for {len(inputs)} inputs", hint=f"give arrays by name: {names}")
        item = {inputs[0].name: item}
    feeds = {}
    for endpoint in inputs:
        key = next((key for key in _keys(endpoint) if key in item), None)
        if key is None:
            raise VerificationError(f"the data has nothing for input {endpoint.name}", hint=f"it has {', '.join(item)}")
        feeds[endpoint.tensor] = _fitted(np.asarray(item[key]), endpoint, shapes[endpoint.tensor])
    return feeds


def _fitted(array: Array, endpoint: Endpoint, shape: Shape) -> Array:
    if array.ndim == len(shape) - 1:
        array = array[np.newaxis]
    fits = array.ndim == len(shape) and all(
        size in (None, given) for size, given in zip(shape[1:], array.shape[1:], strict=True)
    )
    hint = "the first axis is the samples; bnfold inspect shows what each input takes"
    if not fits:
        wanted = ", ".join("?" if size is None else str(size) for size in shape)
        raise VerificationError(
            f"data of shape {array.shape} for input {endpoint.name}, which takes ({wanted})", hint=hint
        )
    dtype = endpoint.dtype.numpy
    if dtype is None:
        hint = "name other inputs with --input"
        raise VerificationError(f"input {endpoint.name} is a {endpoint.dtype}, which no array holds", hint=hint)
    given, wanted = array.dtype.kind, np.dtype(dtype).kind
    if (given in _TEXT) != (wanted in _TEXT) or (given in _OTHERS and given != wanted):
        raise VerificationError(f"data of {array.dtype} for input {endpoint.name}, a {endpoint.dtype}", hint=hint)
    try:
        with np.errstate(all="ignore"):
            return array.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        raise VerificationError(
            f"data of {array.dtype} for input {endpoint.name}, a {endpoint.dtype}", hint=hint
        ) from error


def _chunks(feeds: Feeds, inputs: Sequence[Endpoint], shapes: Mapping[str, Shape]) -> Iterator[tuple[Feeds, int]]:
    batched = [e.tensor for e in inputs if shapes[e.tensor]]
    fixed = [size for name in batched if (size := shapes[name][0]) is not None and len(shapes[name]) > 1]
    total = min((feeds[name].shape[0] for name in batched), default=1)
    step = fixed[0] if fixed else AT_ONCE
    for start in range(0, total, step):
        size = min(step, total - start)
        if fixed and size < step:
            return  # the rest does not fill the graph's batch
        yield (
            {
                name: array[start : start + size] if name in batched and array.shape[0] == total else array
                for name, array in feeds.items()
            },
            size,
        )


def _images(
    folder: Path, inputs: Sequence[Endpoint], shapes: Mapping[str, Shape], ranges: Mapping[str, InputRange]
) -> Iterator[Array]:
    """Each image of ``folder`` by name, decoded and resized to the input; scaled to fractions unless it takes bytes."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES and path.is_file())
    except OSError as error:
        raise VerificationError(f"cannot read {folder}: {error.strerror}", hint="check that it may be read") from error
    if not paths:
        raise VerificationError(f"no images in {folder}", hint=f"it takes {', '.join(IMAGES)}")
    if len(inputs) != 1 or len(shapes[inputs[0].tensor]) != 4:
        raise VerificationError("a folder of images fits a graph with one image input", hint="pass an .npz instead")
    tf = tensorflow()
    height, width, channels, first = _image_shape(shapes[inputs[0].tensor])
    for path in paths:
        try:
            image = tf.io.decode_image(path.read_bytes(), channels=channels or 3, expand_animations=False)
        except OSError as error:
            raise VerificationError(
                f"cannot read {path}: {error.strerror}", hint="check that it may be read"
            ) from error
        except tf.errors.OpError as error:
            raise VerificationError(
                f"{path.name} is not an image of {channels or 3} channels",
                hint="TensorFlow reads PNG, JPEG, BMP and GIF, and 4 channels of PNG alone",
            ) from error
        image = tf.image.resize(image, (height or image.shape[0], width or image.shape[1])).numpy()
        scale = 1.0 if ranges[inputs[0].tensor].high > 2 else 1 / 255
        yield (np.moveaxis(image, -1, 0) if first else image) * scale


def _image_shape(shape: Shape) -> tuple[int | None, int | None, int | None, bool]:
    """Height, width and channels of an image input, and whether its channels come first."""
    _, a, b, c = shape
    if a in (1, 3, 4) and c not in (1, 3, 4):
        return b, c, a, True
    return a, b, c, False

"""The values in a checkpoint, read one at a time by TensorFlow's own reader, its errors put in words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnfold.errors import LoadError
from bnfold.graph import Array, DType
from bnfold.graph.tensorflow import tensorflow
from bnfold.load.reasons import reason

_UNKNOWN_LENGTH = ("string", "resource", "variant", "invalid")
_COPY_AGAIN = "the file is damaged or was not copied whole; copy the checkpoint again"


class TensorFile:
    """What a checkpoint holds: names, dtypes and shapes now, values on demand.

    Parameters
    ----------
    pattern : str
        Prefix (or, for Saver V1, glob pattern) of the files.
    files : sequence of Path
        The files with values, to compare what the index claims with what is there.
    label : str
        The checkpoint's name in messages.
    compressed : bool
        Saver V1 may compress: then nothing can be said from the size of the files.

    Raises
    ------
    LoadError
        When the index cannot be read, or claims more bytes than the files have.
    """

    def __init__(self, pattern: str, files: Sequence[Path], label: str, *, compressed: bool = False) -> None:
        self._label = label
        self._reader = self._open(pattern)
        try:
            shapes = self._reader.get_variable_to_shape_map()
            dtypes = self._reader.get_variable_to_dtype_map()
        except UnicodeDecodeError:
            raise LoadError(f"the index of {label} has a name that is not UTF-8", hint=_COPY_AGAIN) from None
        self.shapes: dict[str, tuple[int, ...]] = {key: tuple(shape) for key, shape in shapes.items()}
        self.dtypes = {key: DType.of_tf(dtype.as_datatype_enum) for key, dtype in dtypes.items()}
        self._refuse_impossible_sizes(sum(path.stat().st_size for path in files) * (256 if compressed else 1))

    def __contains__(self, key: object) -> bool:
        return key in self.shapes

    def read(self, key: str) -> Array:
        """The whole tensor called ``key``, its checksum verified by TensorFlow."""
        errors = tensorflow().errors
        try:
            value = self._reader.get_tensor(key)
        except (errors.OpError, MemoryError, ValueError, IndexError) as error:
            raise LoadError(f"{key} cannot be read from {self._label}: {reason(error)}", hint=_COPY_AGAIN) from None
        return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)

    def _open(self, pattern: str) -> Any:
        tf = tensorflow()
        try:
            return tf.compat.v1.train.NewCheckpointReader(os.fsencode(pattern))  # names of files may be no UTF-8
        except (tf.errors.OpError, IndexError) as error:  # an OutOfRange comes as an IndexError
            raise LoadError(f"the checkpoint {self._label} cannot be read: {reason(error)}", hint=_COPY_AGAIN) from None

    def _refuse_impossible_sizes(self, present: int) -> None:
        """Before anything is allocated: a torn copy has too few bytes, a corrupt index asks for too many."""
        claimed = sum(self._bytes(key) for key in self.shapes)
        if claimed > present:
            raise LoadError(
                f"the checkpoint {self._label} is truncated: its index lists {claimed} bytes of values, "
                f"its data files have {present}",
                hint=_COPY_AGAIN,
            )

    def _bytes(self, key: str) -> int:
        dtype = self.dtypes[key]
        if dtype.name in _UNKNOWN_LENGTH:
            return 0
        count = 1
        for size in self.shapes[key]:
            count *= size
        return count * (dtype.numpy.itemsize if dtype.numpy is not None else 1)

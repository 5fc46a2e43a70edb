"""Files of samples that hold something else than they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bnfold.errors import VerificationError
from bnfold.graph import DType
from bnfold.graph.stages import Endpoint
from bnfold.samples.data import batches_of
from bnfold.samples.ranges import InputRange

IMAGES = Endpoint("images:0", "images:0", DType.named("float32"), (None, 4, 5, 3), "given")


def read(path: Path) -> None:
    shapes = {IMAGES.tensor: (None, 4, 5, 3)}
    list(batches_of(path, [IMAGES], shapes, {IMAGES.tensor: InputRange("uniform", 0.0, 1.0, "given")}))


def claims_petabytes(path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 1000), }".ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"four")


def loses_its_end(path: Path) -> None:
    np.savez(path, images=np.ones((2, 4, 5, 3)))
    path.write_bytes(path.read_bytes()[:200])


def is_damaged_inside(path: Path) -> None:
    np.savez_compressed(path, images=np.arange(120.0).reshape(2, 4, 5, 3))
    content = bytearray(path.read_bytes())
    content[60:90] = b"\xff" * 30
    path.write_bytes(content)


def holds_objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def has_half_a_header(path: Path) -> None:
    header = b"{'descr': '<f4', 'shape': (2, ".ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def writes_words_as_an_image(path: Path) -> None:
    path.mkdir()
    (path / "a.png").write_text("no image")


FILES = [
    ("huge.npy", claims_petabytes, "cannot be read"),
    ("short.npz", loses_its_end, "cannot be read"),
    ("bits.npz", is_damaged_inside, "cannot be read"),
    ("text.npy", lambda path: path.write_text("hello"), "holds no arrays of numbers"),
    ("objects.npy", holds_objects, "holds no arrays of numbers"),
    ("strings.npz", lambda path: np.savez(path, images=np.full((2, 4, 5, 3), "dog")), "data of <U3 for input"),
    ("other.npy", lambda path: np.save(path, np.ones((2, 4, 6, 3))), r"data of shape \(2, 4, 6, 3\)"),
    ("absent.npz", lambda path: None, "no data at"),
    (f"{'n' * 300}.npz", lambda path: None, "File name too long"),
    ("header.npy", has_half_a_header, "cannot be read"),
    ("records.npy", lambda path: np.save(path, np.zeros((2, 4, 5, 3), [("a", "f4"), ("b", "i4")])), r"data of \["),
    ("days.npy", lambda path: np.save(path, np.zeros((2, 4, 5, 3), "M8[D]")), "data of datetime64"),
    ("waves.npy", lambda path: np.save(path, np.ones((2, 4, 5, 3)) * 1j), "data of complex128"),
    ("empty", lambda path: path.mkdir(), "no images in"),
    ("folders", lambda path: (path / "a.png").mkdir(parents=True), "no images in"),
    ("words", writes_words_as_an_image, "a.png is not an image of 3 channels"),
]


@pytest.mark.parametrize(("name", "write", "words"), FILES, ids=[name for name, *_ in FILES])
def test_file_is_refused_with_a_hint_when_it_holds_no_samples(
    tmp_path: Path, name: str, write: Callable[[Path], object], words: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(VerificationError, match=words) as refusal:
        read(tmp_path / name)
    assert refusal.value.hint
    assert "pickle" not in str(refusal.value)

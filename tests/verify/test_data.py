"""Samples of the user's own, in each form they come in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnfold.errors import VerificationError
from bnfold.verify import verify

RNG = np.random.default_rng(2)
IMAGES = RNG.uniform(0, 255, (11, 8, 9, 3)).astype(np.float32)


def _check(nets: Any, data: Any, **options: Any) -> Any:
    return verify(nets.two_norms(), nets.two_norms_onnx(), data=data, **options)


def test_array_is_run_in_parts_when_it_is_long(nets: Any) -> None:
    report = _check(nets, IMAGES)
    assert report.equal
    assert report.samples == 11
    assert [batch.samples for batch in report.batches] == [8, 3]
    assert report.data == "given"


def test_single_sample_is_a_batch_of_one_when_it_lacks_the_axis(nets: Any) -> None:
    assert _check(nets, IMAGES[0]).samples == 1


@pytest.mark.parametrize("key", ["image:0", "image", "input", "whatever"])
def test_npz_is_read_by_name(nets: Any, tmp_path: Path, key: str) -> None:
    path = tmp_path / "data.npz"
    others = {} if key == "whatever" else {"output": np.zeros(4), "input_name": np.array("x")}
    np.savez(path, **{key: IMAGES[:2]}, **others)
    report = _check(nets, path)
    assert report.equal
    assert report.samples == 2
    assert report.data == "data.npz"


def test_npy_is_read_when_there_is_one_input(nets: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", IMAGES[:3].astype(np.float64))
    assert _check(nets, str(tmp_path / "data.npy")).samples == 3


def test_generator_is_run_batch_by_batch(nets: Any) -> None:
    report = _check(nets, ({"image": IMAGES[i : i + 2]} for i in (0, 2, 4)))
    assert report.samples == 6


def test_folder_of_images_is_decoded_and_resized(nets: Any, tmp_path: Path) -> None:
    tf = nets.tf
    for name, size in (("a", (8, 9)), ("b", (16, 18))):
        pixels = RNG.integers(0, 256, (*size, 3)).astype(np.uint8)
        (tmp_path / f"{name}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    (tmp_path / "notes.txt").write_text("not an image")
    report = _check(nets, tmp_path)
    assert report.equal
    assert report.samples == 2


def test_fixed_batch_is_filled_when_there_are_more_samples(nets: Any) -> None:
    report = verify(nets.two_norms((4, 8, 9, 3)), nets.two_norms_onnx(image=(4, 8, 9, 3)), data=IMAGES)
    assert report.samples == 8
    with pytest.raises(VerificationError, match="no whole batch"):
        verify(nets.two_norms((4, 8, 9, 3)), nets.two_norms_onnx(image=(4, 8, 9, 3)), data=IMAGES[:3])


@pytest.mark.parametrize("data", [[], IMAGES[:0], iter(())])
def test_check_is_refused_when_the_data_is_empty(nets: Any, data: Any) -> None:
    with pytest.raises(VerificationError, match="no whole batch of samples"):
        _check(nets, data)


def test_check_is_refused_when_the_data_does_not_fit(nets: Any, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"takes \(\?, 8, 9, 3\)"):
        _check(nets, np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(VerificationError, match="nothing for input image"):
        _check(nets, {"other": IMAGES})
    with pytest.raises(VerificationError, match="no data at"):
        _check(nets, tmp_path / "absent.npz")
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    with pytest.raises(VerificationError, match="cannot be read"):
        _check(nets, tmp_path / "bad.npz")
    np.savez(tmp_path / "names.npz", a=IMAGES, b=IMAGES)
    with pytest.raises(VerificationError, match="none named as an input"):
        _check(nets, tmp_path / "names.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VerificationError, match="no images"):
        _check(nets, tmp_path / "empty")


def test_pickled_data_is_not_executed(nets: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(VerificationError, match="cannot be read"):
        _check(nets, tmp_path / "data.npy")

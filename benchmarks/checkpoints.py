"""Where the networks of the benchmarks are."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = Path(os.environ.get("BNFOLD_CHECKPOINTS", ROOT.parent / "shared" / "checkpoints"))

TRAINED = (
    "mobilenet_v1-baked",
    "mobilenet_v1-placeholder",
    "mobilenet_v2-baked",
    "shufflenet_v2-baked",
    "IRCNN__dilated7",
    "tensorflow2caffe__mnistcls",
)
"""Third-party training checkpoints; those that are absent are left out, and that is said."""


def trained() -> dict[str, Path]:
    """The checkpoints of `TRAINED` that are here, by name."""
    return {name: CHECKPOINTS / name for name in TRAINED if (CHECKPOINTS / name).is_dir()}


def data_megabytes(folder: Path) -> float:
    """Size of a checkpoint's data files."""
    return sum(file.stat().st_size for file in folder.glob("*.data-*")) / 1e6

"""What the tests share: where the real checkpoints are, and how to skip without them."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINTS = Path(os.environ.get("BNFOLD_CHECKPOINTS", ROOT.parent / "shared" / "checkpoints"))

# One run is as the next: a change is red for what it changed. `--hypothesis-profile=explore` looks further.
settings.register_profile("steady", derandomize=True, database=None)
settings.register_profile("explore", derandomize=False)
settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Each test starts from the same random state: Keras draws the seeds of its initializers from it."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def shared_checkpoint() -> Callable[[str], Path]:
    """The folder of a third-party checkpoint, by name; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        folder = CHECKPOINTS / name
        if not folder.is_dir():
            pytest.skip(f"third-party checkpoint {name} is not at {CHECKPOINTS} (set BNFOLD_CHECKPOINTS)")
        return folder

    return find


@pytest.fixture(scope="session")
def sample_model() -> Callable[[str], Path]:
    """The folder of a sample model of the project, by name."""
    return lambda name: ROOT / "sample_models" / name


@pytest.fixture(scope="session")
def nets() -> ModuleType:
    """The networks of ``verify/networks.py``: each in TensorFlow, and by hand in ONNX."""
    name = "verify_networks"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "verify" / "networks.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]

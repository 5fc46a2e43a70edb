"""TensorFlow imported once, quietly, and only when something needs it."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from typing import Any


@cache
def tensorflow() -> Any:
    """The ``tensorflow`` module, imported once and without its start-up messages.

    oneDNN is turned off unless the user's environment says otherwise: its kernels round differently from run to
    run of different shapes, and the reference should be the plain kernels.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with _QuietStderr():
        import tensorflow as tf
    return tf


class _QuietStderr:
    """Keeps TensorFlow's C++ start-up lines, written before logging is configured, off the terminal."""

    def __enter__(self) -> None:
        self.saved = os.dup(2)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)

    def __exit__(self, *_: object) -> None:
        os.dup2(self.saved, 2)
        os.close(self.saved)


def message(module: str, name: str) -> Any:
    """An empty protobuf message of TensorFlow's: ``message("protobuf.meta_graph", "MetaGraphDef")``."""
    tensorflow()
    return getattr(import_module(f"tensorflow.core.{module}_pb2"), name)()


def reason_of(error: Exception) -> str:
    """The line of TensorFlow's exception that says what went wrong, not where."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    skipped = ("Graph execution error", "Detected at node", "Node:", "[[")
    return next((line for line in lines if not line.startswith(skipped)), type(error).__name__)

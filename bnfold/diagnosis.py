"""The commands that explain and repair: one batch norm's arithmetic, and moving statistics from data."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold import calls
from bnfold.calls import Observer
from bnfold.errors import InferenceError, LoadError, UnboundError
from bnfold.options import SourceKeywords, SourceOptions
from bnfold.target import require_writable_under

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from bnfold.calibration import Calibration
    from bnfold.explanation import Explanation
    from bnfold.graph import Node
    from bnfold.graph.stages import InferenceGraph, SourceModel
    from bnfold.samples import Data


def explain(
    source: Any,
    layer: str,
    *,
    channel: int = 0,
    values: Sequence[float] = (),
    data: Data | None = None,
    samples: int = 8,
    seed: int = 0,
    observe: Observer | None = None,
    **how: Unpack[SourceKeywords],
) -> Explanation:
    """Work out one channel of one batch norm with its real numbers, in inference and in training mode side by side.

    Parameters
    ----------
    source : str, Path or model object
        As for `bnfold.convert`.
    layer : str
        The batch norm's name, or a part of it that only one has.
    channel : int
    values : sequence of float
        Values to follow through the layer; the batch's smallest, middle and largest when empty.
    data : optional
        Samples for training mode's batch; random ones when absent.
    samples, seed : int
        Of the random samples.
    observe, **how
        As for `bnfold.convert`.

    Returns
    -------
    Explanation

    Raises
    ------
    LoadError, InferenceError, VerificationError
    """
    from bnfold.explanation import explain

    options = SourceOptions(**how)
    stages = calls.Stages(observe)
    loaded = stages.run("load", lambda: calls.load(source, options))
    reference = stages.run("infer", lambda: calls.infer(loaded, options))
    return explain(
        reference, layer, source=loaded, channel=channel, values=values, data=data, samples=samples, seed=seed
    )


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` returns.

    Attributes
    ----------
    path : Path
        The checkpoint written, without its endings.
    calibration : Calibration
    added : tuple of str
        Variables that the graph did not have.
    """

    path: Path
    calibration: Calibration
    added: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "added": list(self.added), **self.calibration.as_json()}


def calibrate(
    source: str | Path,
    target: str | Path,
    *,
    data: Data,
    layers: str | None = None,
    observe: Observer | None = None,
    progress: Callable[[int, int], None] | None = None,
    **how: Unpack[SourceKeywords],
) -> Calibrated:
    """Compute moving statistics from data, and write a checkpoint that `bnfold.convert` takes.

    By default for the batch norms whose statistics were never updated, are not in the checkpoint, or were never
    kept at all; for those the checkpoint's graph gets variables and update ops.

    Parameters
    ----------
    source : str or Path
        A TensorFlow 1 checkpoint.
    target : str or Path
        Prefix of the checkpoint to write, or a directory for one of the same name.
    data : path, ndarray, mapping, or iterable of these
        What the network was trained on, or like it; see `bnfold.samples.batches_of`.
    layers : str, optional
        Regular expression (searched) of the batch norms to calibrate instead.
    observe : callable, optional
        As for `bnfold.convert`.
    progress : callable, optional
        Called with the number of runs done and of all.
    **how
        As for `bnfold.convert`.

    Returns
    -------
    Calibrated

    Raises
    ------
    LoadError, InferenceError, VerificationError, ExportError
        Nothing is written.
    ValueError
        When ``layers`` is not a regular expression.
    """
    from bnfold.calibration import calibrate_statistics, needs_calibration, write_checkpoint
    from bnfold.load.checkpoint_files import checkpoint_files

    wanted = _pattern(layers)
    options = replace(SourceOptions(**how), missing_statistics="initial")
    stages = calls.Stages(observe)
    loaded = stages.run("load", lambda: calls.load(source, options))
    path = loaded.path
    if loaded.kind != "checkpoint" or path is None:
        raise LoadError(f"{loaded.label} is a {loaded.kind}", hint="calibrate takes TensorFlow 1 checkpoints")
    files, _ = checkpoint_files(path)
    place = Path(target)
    prefix = place / files.prefix.name if os.path.isdir(place) or str(target).endswith("/") else place
    require_writable_under(prefix)
    absent = [name for name, variable in loaded.variables.items() if variable.key is None]
    loaded, reference, added = stages.run("infer", lambda: _infer(loaded, options), tell=lambda found: found[1])
    if wanted is None:
        names = [norm.name for norm in reference.batch_norms if needs_calibration(norm, absent)]
    else:
        names = [norm.name for norm in reference.batch_norms if wanted.search(norm.name)]
    if not names:
        raise InferenceError(
            "no batch norm needs calibration" if layers is None else f"no batch norm matches {layers!r}",
            hint="--layers . calibrates all of them anew" if reference.batch_norms else "the graph has no batch norms",
        )
    calibration = calibrate_statistics(reference, names, data, progress=progress)
    written = write_checkpoint(
        files.prefix,
        prefix,
        calibration.statistics,
        loaded.variables,
        added=added,
        meta=files.meta,
        pattern=files.pattern,
    )
    return Calibrated(written, calibration, tuple(node.name for node in added if node.op == "VariableV2"))


def _pattern(layers: str | None) -> re.Pattern[str] | None:
    try:
        return None if layers is None else re.compile(layers)
    except re.error as error:
        raise ValueError(f"layers={layers!r} is not a regular expression: {error}") from error


def _infer(source: SourceModel, options: SourceOptions) -> tuple[SourceModel, InferenceGraph, tuple[Node, ...]]:
    """The inference graph; batch norms that keep no statistics are given variables for them first."""
    from bnfold.calibration import with_statistics

    try:
        return source, calls.infer(source, options), ()
    except UnboundError as error:
        extended, added = with_statistics(source, error.layers)
        return extended, calls.infer(extended, options), added

"""What the moving statistics themselves say: never updated, poisoned, or out of proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnfold.errors import InferenceError
from bnfold.graph import Array
from bnfold.graph.stages import BatchNorm, Note

TINY = 1e-2
"""A variance below this share of epsilon no longer matters: epsilon alone sets the scale."""

FAR = 100.0
"""A moving mean further than this many deviations from zero is worth a look."""

CALIBRATION = "bnfold calibrate SOURCE TARGET --data …, or run the training graph over some batches with its update ops"


def refuse_poisoned(name: str, values: Mapping[str, Array]) -> None:
    """Refuse statistics that no batch can have.

    Raises
    ------
    InferenceError
        On NaN, infinities or a negative variance.
    """
    for role in ("moving_mean", "moving_variance"):
        value = values.get(role)
        if value is not None and not np.isfinite(value.astype(np.float64)).all():
            raise InferenceError(
                f"batch norm {name}: its {role.replace('_', ' ')} holds NaN or infinite values",
                hint="the training diverged, or the checkpoint is damaged; take an earlier one",
                node=name,
            )
    variance = values["moving_variance"]
    if (negative := int(np.count_nonzero(variance < 0))) > 0:
        raise InferenceError(
            f"batch norm {name}: its moving variance is negative in {negative} of {variance.size} channels",
            hint="that is no variance: check that --bind names the mean first, or take another checkpoint",
            node=name,
        )


def examine(norms: Sequence[BatchNorm], *, step: int | None, frozen_rates: frozenset[str]) -> tuple[Note, ...]:
    """Notes on the statistics of ``norms``.

    Parameters
    ----------
    norms : sequence of BatchNorm
    step : int or None
        The checkpoint's global step.
    frozen_rates : frozenset of str
        Variables whose update moves them by nothing (decay = 1).
    """
    notes = []
    if step == 0:
        notes.append(Note("warning", "untrained", "the checkpoint was saved at step 0: nothing in it has been trained"))
    notes += _never_updated(norms, frozen_rates)
    notes += _noted(norms, "tiny-variance", _tiny_variance, "moving variance far below epsilon")
    notes += _noted(norms, "dead-channels", _dead, "gamma 0 or variance 0: the output is the constant beta")
    notes += _noted(norms, "mean-far-off", _far_off, f"moving mean more than {FAR:.0f} deviations from 0")
    return tuple(notes)


def never_updated(norm: BatchNorm) -> bool:
    """Whether the statistics are what they were initialised to."""
    return bool((norm.moving_mean == 0).all() and (norm.moving_variance == 1).all())


def _never_updated(norms: Sequence[BatchNorm], frozen_rates: frozenset[str]) -> list[Note]:
    untouched = [norm for norm in norms if never_updated(norm)]
    always = [norm.name for norm in untouched if norm.flag == "inference"]
    moved_by_none = [n.name for n in untouched if n.flag != "inference" and _is_frozen(n, frozen_rates)]
    not_run = [n.name for n in untouched if n.flag != "inference" and not _is_frozen(n, frozen_rates)]
    notes = []
    if always:
        notes.append(
            Note(
                "warning",
                "never-updated",
                f"{_layers(always)} moving mean 0 and variance 1: never updated. The graph as saved normalises by them"
                " too, so what was trained is what is exported, but these layers do not normalise",
                tuple(always),
                hint="if that was not meant: the layer was built with training=False, its default",
            )
        )
    for names, cause in (
        (moved_by_none, "the updates have decay 1, which moves nothing"),
        (not_run, "the update ops were never run (tf.GraphKeys.UPDATE_OPS holds them)"),
    ):
        if names:
            notes.append(
                Note(
                    "warning",
                    "never-updated",
                    f"{_layers(names)} moving mean 0 and variance 1: {cause}. Training normalised by the batch; the"
                    " inference graph does not normalise at all, and its outputs are not what training saw",
                    tuple(names),
                    hint=CALIBRATION,
                )
            )
    return notes


def _is_frozen(norm: BatchNorm, frozen_rates: frozenset[str]) -> bool:
    return norm.variables.get("moving_variance") in frozen_rates


def _layers(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more} {'has' if len(names) == 1 else 'have'}"


def _noted(norms: Sequence[BatchNorm], kind: str, count: object, what: str) -> list[Note]:
    assert callable(count)
    found = {norm.name: number for norm in norms if (number := int(count(norm))) > 0}
    if not found:
        return []
    each = [f"{name} ({number} channels)" for name, number in list(found.items())[:5]]
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return [Note("note", kind, f"{what}: {', '.join(each)}{more}", tuple(found))]


def _tiny_variance(norm: BatchNorm) -> int:
    return int(np.count_nonzero(norm.moving_variance < TINY * norm.epsilon))


def _dead(norm: BatchNorm) -> int:
    dead = norm.moving_variance == 0
    if norm.gamma is not None:
        dead = dead | (norm.gamma == 0)
    return int(np.count_nonzero(dead))


def _far_off(norm: BatchNorm) -> int:
    deviation = np.sqrt(norm.moving_variance.astype(np.float64) + norm.epsilon)
    return int(np.count_nonzero(np.abs(norm.moving_mean) > FAR * deviation))

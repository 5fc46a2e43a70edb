"""When the outputs differ: which fold is at fault, found by undoing folds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bnfold import calls
from bnfold.options import CheckOptions, ExportOptions

if TYPE_CHECKING:
    from bnfold.graph.stages import Folding, InferenceGraph
    from bnfold.target import Target
    from bnfold.verify import CheckReport


def blame(
    reference: InferenceGraph,
    folding: Folding,
    candidate: Any,
    report: CheckReport,
    how: CheckOptions,
    *,
    target: Target | None = None,
    made: ExportOptions | None = None,
) -> CheckReport:
    """``report`` with the first layer that diverges, and who is at fault: a fold, or what comes after folding.

    The model is made again with part of the folds undone, about ``2·log2(n)`` times for one wrong fold, and compared
    on the samples that showed the difference. Where onnxruntime's optimiser is the suspect already, it stays so.

    Parameters
    ----------
    reference : InferenceGraph
        Unfolded.
    folding : Folding
        All folds.
    candidate : object
        The model with all folds, as `verify` takes it.
    report : CheckReport
        Of that model; its outputs differ.
    how : CheckOptions
    target, made
        As the model was made.
    """
    from bnfold.graph.stages import Folded
    from bnfold.verify import find_faulty_folds

    if report.suspect or report.problems or isinstance(how.data, Iterator):
        return report  # a generator has run out: there is nothing to compare on again
    if report.layers is None:
        traced = calls.verify(reference, candidate, replace(how, layers=True), made=made, fates=folding.fates)
        report = replace(report, layers=traced.layers)
    folded = [fate.name for fate in folding.fates if isinstance(fate, Folded)]

    def wrong(names: frozenset[str]) -> bool:
        if names == frozenset(folded):
            return True
        kept = [norm.name for norm in reference.batch_norms if norm.name not in names]
        keep = "|".join(f"^{re.escape(name)}$" for name in kept) or None
        partly = calls.fold(reference, bool(names), keep, False)
        file = calls.export(partly, target, made or ExportOptions())
        return not calls.verify(reference, file.comparable, replace(how, layers=False), made=made).equal

    return replace(report, suspect=find_faulty_folds(folded, wrong).sentence)

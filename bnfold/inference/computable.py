"""Which of the outputs found can be computed: from an input, with variables that the source has values for."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.graph.stages import Variable
from bnfold.inference.anatomy import Anatomy
from bnfold.inference.choices import RUNNERS, Choices
from bnfold.inference.op_kinds import RANDOM, is_source


def computable(chosen: Choices, parts: Anatomy, variables: Mapping[str, Variable]) -> Choices:
    """``chosen`` without what depends on no input, and without what lacks trained variables where others lack none.

    A MirroredStrategy saves the variables of its first replica, and its graph holds the outputs of all.

    Parameters
    ----------
    chosen : Choices
        Outputs, best first.
    parts : Anatomy
    variables : mapping of str to Variable
        Those of the source.

    Returns
    -------
    Choices
        Outputs whose values are missing are the last of the alternatives. Where every output lacks some, all stay:
        the refusal will name the variables.
    """
    behind = {choice: parts.graph.topological([choice.tensor]) for choice in chosen.chosen}
    fed = [choice for choice, nodes in behind.items() if any(is_source(n) or n.op in RANDOM for n in nodes)]
    whole = [
        choice
        for choice in fed
        if not any(node.name in parts.trainable and _is_missing(node.name, variables) for node in behind[choice])
    ]
    if not whole:
        return Choices(tuple(fed), chosen.alternatives)
    left = tuple(choice.tensor for choice in fed if choice not in whole)
    return Choices(tuple(whole), (*chosen.alternatives, *left)[:RUNNERS])


def _is_missing(name: str, variables: Mapping[str, Variable]) -> bool:
    variable = variables.get(name)
    return variable is not None and variable.key is None

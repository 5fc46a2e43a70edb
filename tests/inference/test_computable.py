"""Outputs that can be computed, and those that cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from training_graphs import Net, head, image, source_of, tensorflow

from bnfold.graph.stages import SourceModel
from bnfold.inference.anatomy import dissect
from bnfold.inference.choices import Choice, Choices
from bnfold.inference.computable import computable
from bnfold.inference.interface import find_interface

tf = tensorflow()
v1 = tf.compat.v1


def replicas(train: bool) -> Net:
    """Two copies of a net, each with variables of its own, as MirroredStrategy has it."""
    x = image()
    for scope in ("first", "replica_1"):
        with v1.variable_scope(scope):
            y = head(x)
    return Net(x, y)


def without_values(source: SourceModel, prefix: str) -> SourceModel:
    variables = {
        name: replace(variable, key=None) if name.startswith(prefix) else variable
        for name, variable in source.variables.items()
    }
    return replace(source, variables=variables)


def outputs_of(source: SourceModel) -> list[str]:
    return [endpoint.name for endpoint in find_interface(source).outputs]


def test_output_is_an_alternative_when_its_variables_have_no_values() -> None:
    source = source_of(replicas)
    assert len(outputs_of(source)) == 2
    interface = find_interface(without_values(source, "replica_1"))
    [output] = interface.outputs
    assert output.name.startswith("first/")
    assert any(name.startswith("replica_1/") for name in output.alternatives)


def test_outputs_stay_when_every_one_lacks_values() -> None:
    source = source_of(replicas)
    assert outputs_of(without_values(source, "")) == outputs_of(source)


def test_output_is_none_when_it_depends_on_no_input() -> None:
    def net(train: bool) -> Any:
        found = replicas(train)
        tf.identity(v1.get_variable("momentum", [3]) * 0.9, "decayed")
        return found

    source = source_of(net)
    parts = dissect(source.graph)
    wanted = Choice(outputs_of(source)[0], "the loss reads it")
    chosen = Choices((Choice("decayed:0", "nothing reads it"), wanted))
    assert computable(chosen, parts, source.variables).chosen == (wanted,)

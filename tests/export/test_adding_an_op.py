"""docs/adding_an_op.md: its example of a user's op is run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import bnfold
from bnfold.export import Call, table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adding_an_op.md").read_text(encoding="utf-8")
(EXAMPLE,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "register_op" in block]


def test_op_of_the_example_is_lowered_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_USERS", {})
    exec(compile(EXAMPLE, "adding_an_op.md", "exec"), {})

    @tf.function(input_signature=[tf.TensorSpec((None, 5))])
    def network(x):
        return tf.nn.softsign(x - np.float32(0.3))

    conversion = bnfold.convert(network, samples=4)
    assert conversion.report.equal
    assert Counter(conversion.report.model.ops) == {"Sub": 1, "Abs": 1, "Add": 1, "Div": 1}


def test_methods_that_the_page_tells_of_are_there() -> None:
    named = set(re.findall(r"`call\.(\w+)", PAGE))
    assert {"emit", "input", "shape"} < named
    attributes = {"node", "opset"}  # of an instance
    assert [name for name in named - attributes if not hasattr(Call, name)] == []

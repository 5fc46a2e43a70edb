"""TensorFlow's recurrent cells in one op, written out in sums, products and activations.

    LSTMBlockCell   i, ci, f, o = split([x, h] · w + b)
                    cs' = tanh(ci) ∘ σ(i + wci ∘ cs) + cs ∘ σ(f + wcf ∘ cs + forget_bias)
                    h'  = tanh(cs') ∘ σ(o + wco ∘ cs')
    GRUBlockCell    r, u = split(σ([x, h] · w_ru + b_ru)),  c = tanh([x, r ∘ h] · w_c + b_c)
                    h'  = u ∘ h + (1 - u) ∘ c

https://www.tensorflow.org/api_docs/python/tf/raw_ops/LSTMBlockCell
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bnfold.graph import DType, Function, Graph, Node, Shape, TensorType, constant
from bnfold.graph.dtypes import INT32


class _Writer:
    """Adds typed nodes, named after ``node``, of which all are of shape [batch, units] unless said otherwise."""

    def __init__(self, graph: Graph, node: Node, shape: Shape | None) -> None:
        self.graph = graph
        self.node = node
        self.shape = shape
        self.dtype: DType = node.attrs["T"]

    def add(self, op: str, *inputs: str, outputs: int = 1, wide: int = 1, **attrs: Any) -> list[str]:
        name = self.graph.fresh_name(f"{self.node.name}/{op}")
        made = self.graph.add(Node(name, op, inputs, {"T": self.dtype, **attrs}))
        shape = self.shape
        if wide != 1 and shape is not None:
            shape = (shape[0], None if shape[1] is None or wide < 0 else wide * shape[1])
        for index in range(outputs):
            self.graph.types[made.tensor(index)] = TensorType(self.dtype, shape)
        return [made.tensor(index) for index in range(outputs)]

    def one(self, op: str, *inputs: str, **attrs: Any) -> str:
        return self.add(op, *inputs, **attrs)[0]

    def constant(self, value: float, dtype: DType | None = None) -> str:
        kind = dtype or self.dtype
        name = self.graph.fresh_name(f"{self.node.name}/const")
        made = self.graph.add(constant(name, np.array(value, kind.numpy), kind))
        self.graph.types[made.output] = TensorType(kind, ())
        return made.output

    def gates(self, parts: tuple[str, str], kernel: str, bias: str, count: int) -> str:
        """``[x, h] · kernel + bias``"""
        joined = self.one("ConcatV2", *parts, self.constant(1, INT32), wide=-1, N=2, Tidx=INT32)
        product = self.one("MatMul", joined, kernel, wide=count, transpose_a=False, transpose_b=False)
        return self.one("BiasAdd", product, bias, wide=count, data_format="NHWC")

    def split(self, tensor: str, count: int) -> list[str]:
        return self.add("Split", self.constant(1, INT32), tensor, outputs=count, num_split=count)


def lstm_step(graph: Graph, node: Node, shape: Shape | None, inputs: tuple[str, ...], order: str) -> list[str]:
    """The seven outputs of an LSTM cell, added to ``graph``; ``order`` is that of the gates in the kernel.

    Parameters
    ----------
    graph : Graph
    node : Node
        With the attributes.
    shape : Shape
        Of a state, if it is known.
    inputs : tuple of str
        x, cs_prev, h_prev, w, wci, wcf, wco, b
    order : str
        Of the letters ``icfo``, ``c`` for the new content.
    """
    write = _Writer(graph, node, shape)
    x, memory, hidden, kernel, *peepholes, bias = inputs
    parts = dict(zip(order, write.split(write.gates((x, hidden), kernel, bias, 4), 4), strict=True))
    if forget := node.attrs.get("forget_bias", 0.0):
        parts["f"] = write.one("AddV2", parts["f"], write.constant(forget))
    seen = bool(node.attrs.get("use_peephole"))

    def gate(letter: str, weight: str, of: str) -> str:
        total = write.one("AddV2", parts[letter], write.one("Mul", of, weight)) if seen else parts[letter]
        return write.one("Sigmoid", total)

    i, f = gate("i", peepholes[0], memory), gate("f", peepholes[1], memory)
    ci = write.one("Tanh", parts["c"])
    cs = write.one("AddV2", write.one("Mul", ci, i), write.one("Mul", memory, f))
    if (clip := node.attrs.get("cell_clip", 0.0)) > 0:
        cs = write.one("ClipByValue", cs, write.constant(-clip), write.constant(clip))
    o, co = gate("o", peepholes[2], cs), write.one("Tanh", cs)
    return [i, cs, f, o, ci, co, write.one("Mul", co, o)]


def gru_step(graph: Graph, node: Node, shape: Shape | None) -> list[str]:
    """The four outputs of a GRUBlockCell, added to ``graph``."""
    write = _Writer(graph, node, shape)
    x, hidden, kernel, kernel_new, bias, bias_new = node.inputs
    gates = write.one("Sigmoid", write.gates((x, hidden), kernel, bias, 2), wide=2)
    r, u = write.split(gates, 2)
    c = write.one("Tanh", write.gates((x, write.one("Mul", r, hidden)), kernel_new, bias_new, 1))
    rest = write.one("Sub", write.constant(1.0), u)
    return [r, u, c, write.one("AddV2", write.one("Mul", u, hidden), write.one("Mul", rest, c))]


ORDERS = {"LSTMBlockCell": "icfo", "BlockLSTM": "icfo", "BlockLSTMV2": "ifco"}


def step_function(node: Node) -> Function:
    """One step of a BlockLSTM: its inputs 1 to 8, of which x is of one step, → the seven outputs."""
    graph = Graph()
    names = ("x", "cs_prev", "h_prev", "w", "wci", "wcf", "wco", "b")
    placed = [graph.add(Node(n, "Placeholder", attrs={"dtype": node.attrs["T"], "shape": None})).output for n in names]
    outputs = lstm_step(graph, node, None, tuple(placed), ORDERS[node.op])
    return Function(f"{node.name}/step", graph, tuple(placed), tuple(outputs))

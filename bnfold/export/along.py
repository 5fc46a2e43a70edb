"""An axis that is known only when the model runs: the tensor as one of three axes, that one in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfold.export.ints import Ints, input_ints, joined, run_time_shape

if TYPE_CHECKING:
    from bnfold.export.call import Call


class Along:
    """A tensor of any rank, seen along an axis.

    Attributes
    ----------
    value : str
        Of shape ``(before, size, after)``.
    size : Ints
        Of the axis, as a vector of one.
    """

    def __init__(self, call: Call, value: str, axis: Ints, *, extra: int = 0) -> None:
        """``axis`` may count from the end; the last ``extra`` axes do not count."""
        self._call = call
        shape = run_time_shape(call, value)
        rank = run_time_shape(call, shape.name).scalar() - extra
        at = axis.scalar().from_front(rank)
        self._before, self._after = shape.entries(0, at), shape.entries(at + 1)
        self.size = shape.take(at.vector())
        before, after = (part.product().vector() for part in (self._before, self._after))
        self.value = self._reshaped(value, joined(call, before, self.size, after))

    def whole(self, value: str, sizes: Ints | None = None) -> str:
        """``value``, of three axes, with those of the tensor; with ``sizes`` in place of the one in the middle."""
        return self._reshaped(value, joined(self._call, self._before, sizes or self.size, self._after))

    def without(self, value: str) -> str:
        """``value``, of the two axes that are left, with those of the tensor."""
        return self._reshaped(value, joined(self._call, self._before, self._after))

    def _reshaped(self, value: str, shape: Ints) -> str:
        return self._call.reshape_to(value, shape.name)


def along_computed(call: Call, value: str, index: int = 1) -> Along:
    """``value``, a tensor as input 0 is, along the axis that input ``index`` of the node names."""
    return Along(call, value, input_ints(call, index))

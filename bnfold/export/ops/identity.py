"""Ops that hand their input on."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import ANY, lowers


@lowers(
    *(
        "Identity",
        "StopGradient",
        "PreventGradient",
        "Snapshot",
        "CheckNumerics",
        "EnsureShape",
        "PlaceholderWithDefault",
        "GuaranteeConst",
        "DebugGradientIdentity",
    ),
    dtypes=ANY,
    placement=FOLLOWS,
)
def lower_identity(call: Call) -> str:
    return call.input(0)


@lowers("IdentityN", dtypes=ANY)
def lower_identity_n(call: Call) -> tuple[str, ...]:
    return tuple(call.inputs())

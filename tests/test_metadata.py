"""What a file says of itself, when somebody else wrote it."""

from __future__ import annotations

import json
from typing import Any

import onnx
import pytest

from bnfold import metadata
from bnfold.errors import VerificationError
from bnfold.graph.stages import Folded, Kept
from bnfold.options import ExportOptions, SourceOptions

DEEP = "[" * 100_000


def model(**entries: Any) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    texts = {f"bnfold.{key}": value if isinstance(value, str) else json.dumps(value) for key, value in entries.items()}
    metadata.attach(proto, texts)
    return proto


def test_entries_are_read_back() -> None:
    fates = [{"fate": "kept", "name": "a", "reason": "r"}, {"fate": "folded", "name": "b", "into": ["c"], "rule": "d"}]
    source = {"path": "runs/model", "fingerprint": "f", "options": {"weights": "ema"}}
    proto = model(source=source, batch_norms=fates, export={"half": True}, check={"format": 1})
    assert metadata.origin(proto) == metadata.Origin("runs/model", "f", SourceOptions(weights="ema"))
    assert metadata.fates(proto) == (Kept("a", "r"), Folded("b", ("c",), "d"))
    assert metadata.export_options(proto) == ExportOptions(half=True)
    assert metadata.certificate(proto) == {"format": 1}


@pytest.mark.parametrize(
    "entry",
    [
        DEEP,
        "{",
        "null",
        "[]",
        '"text"',
        "7",
        {"path": 5, "fingerprint": "f", "options": {}},
        {"path": "p", "fingerprint": None, "options": {}},
        {"path": "p", "fingerprint": "f", "options": []},
        {"path": "p", "fingerprint": "f", "options": {"inputs": ["x"]}},
        {"path": "p", "fingerprint": "f"},
    ],
    ids=lambda entry: str(entry)[:40],
)
def test_origin_is_refused_with_a_hint_when_it_is_damaged(entry: Any) -> None:
    with pytest.raises(VerificationError, match="is damaged") as refused:
        metadata.origin(model(source=entry))
    assert refused.value.hint


@pytest.mark.parametrize(
    "entry",
    [DEEP, "{", "null", "7", '"text"', {"rename": 3}, [{"fate": "folded"}], [[1]], [7]],
    ids=lambda entry: str(entry)[:20],
)
def test_other_entries_are_passed_over_when_they_are_damaged(entry: Any) -> None:
    proto = model(batch_norms=entry, export=entry, check=entry)
    assert metadata.fates(proto) == ()
    assert metadata.export_options(proto) == ExportOptions()
    assert not isinstance(metadata.certificate(proto), list | str | int)

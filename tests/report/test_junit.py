"""JUnit XML: a case for each output, and one for what is wrong besides."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from bnfold.conversion import Conversion
from bnfold.report.junit import junit_xml
from bnfold.verify import CheckReport


def _report(conversion: Conversion) -> CheckReport:
    assert conversion.report.check is not None
    return conversion.report.check


def test_every_output_is_a_case(conversion: Conversion) -> None:
    suite = ElementTree.fromstring(junit_xml(_report(conversion), name="net.onnx", seconds=1.5))
    assert (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("1", "0", "1.500")
    (case,) = suite.findall("testcase")
    assert case.get("name") == "input/logits/BiasAdd:0"
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert properties["seed"] == "0"
    assert str(properties["tolerance"]).startswith("max|onnx − tf| ≤")


def test_failures_say_why(conversion: Conversion) -> None:
    report = _report(conversion)
    wrong = replace(report.outputs[0], equal=False, reason="3 of 4 samples differ")
    report = replace(
        report, equal=False, outputs=(wrong,), problems=("is_training is missing",), suspect="the fold of bn"
    )
    suite = ElementTree.fromstring(junit_xml(report, name="a<b>.onnx"))
    assert suite.get("failures") == suite.get("tests") == "2"
    failures = [failure.get("message") for failure in suite.iter("failure")]
    assert failures == ["3 of 4 samples differ", "is_training is missing"]


def test_nothing_compared_is_a_failure(conversion: Conversion) -> None:
    empty = replace(_report(conversion), outputs=(), problems=())
    assert ElementTree.fromstring(junit_xml(empty, name="x")).get("failures") == "1"

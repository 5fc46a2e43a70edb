"""A comparison as a JUnit file: one test case for each output, as CI servers show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from bnfold.verify import CheckReport


def junit_xml(report: CheckReport, *, name: str, seconds: float = 0.0) -> str:
    """The XML text.

    Parameters
    ----------
    report : CheckReport
    name : str
        Of the test suite: the model's file.
    seconds : float
        What the comparison took.
    """
    cases = [(out.name, None if out.equal else out.reason, _figures(out.relative_error)) for out in report.outputs]
    if report.problems or not cases:
        cases.append(("interface", "; ".join(report.problems) or "no output was compared", ""))
    failures = [case for case in cases if case[1] is not None]
    suite = ElementTree.Element(
        "testsuite",
        name=f"bnfold check {name}",
        tests=str(len(cases)),
        failures=str(len(failures)),
        errors="0",
        skipped="0",
        time=f"{seconds:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    facts = {"samples": report.samples, "seed": report.seed, "tolerance": report.tolerance.formula, **report.versions}
    for key, value in facts.items():
        ElementTree.SubElement(properties, "property", name=key, value=str(value))
    for case, failure, figures in cases:
        element = ElementTree.SubElement(suite, "testcase", classname=f"bnfold.{name}", name=case)
        if failure is not None:
            ElementTree.SubElement(element, "failure", message=failure, type="outputs differ").text = report.suspect
        if figures:
            ElementTree.SubElement(element, "system-out").text = figures
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _figures(errors: Mapping[str, float]) -> str:
    return ", ".join(f"max |onnx − tf| / max |tf| = {error:.2e} ({mode})" for mode, error in errors.items())

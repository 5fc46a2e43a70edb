"""A conversion as one self-contained page: what was done, why, and the proof."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from bnfold.graph.stages import BatchNorm, Fate, Kept, Note
from bnfold.report.style import CSS
from bnfold.report.svg import Series, bar, histogram, log_plot
from bnfold.report.text import amount, count, shape_text, size, value_range

if TYPE_CHECKING:
    from bnfold.conversion import Conversion
    from bnfold.latency import Latency
    from bnfold.results import Inspection, Report
    from bnfold.verify import CheckReport, LayerTrace

MOST_CARDS = 400
"""Batch norms whose histograms are shown; a page of more is slow to open."""

SHAPE_OPS = ("Const", "Placeholder", "Identity")


def inspection_page(inspection: Inspection) -> str:
    """An inspection as a page: inputs and outputs, each batch norm and what would become of it, moving statistics."""
    source = inspection.source
    facts = f"{source.kind}, {count(source.nodes, 'node')}, {count(source.variables, 'variable')}, "
    header = f'<header><h1>{escape(source.label)}</h1></header>\n<p class="soft">{escape(facts)}'
    header += f"{amount(source.parameters)} parameters</p>"
    norms = {norm.name: norm for norm in inspection.batch_norms}
    rows = [(*_fate_row(fate, norms.get(fate.name)), *_figures(norms.get(fate.name))) for fate in inspection.fates]
    columns = ("layer", "would be", "", "saved with", "mean", "variance", "#epsilon")
    sections = [
        _ends(inspection),
        _notes(inspection.notes),
        _section("Batch norms", _table(columns, rows)) if rows else "",
        _statistics(inspection.batch_norms, inspection.notes),
        _section("Ops of the inference graph", _table(("op", "#count"), _counted(inspection.ops))),
    ]
    return _page(source.label, header, sections)


def _ends(inspection: Inspection) -> str:
    ends = [("input", end) for end in inspection.inputs] + [("output", end) for end in inspection.outputs]
    rows = [
        (
            word,
            f"<code>{escape(end.name)}</code>",
            escape(f"{end.dtype} {shape_text(end.shape)}"),
            escape(end.reason),
            f'<span class="soft">{escape(", ".join(end.alternatives))}</span>',
        )
        for word, end in ends
    ]
    return _section("Inputs and outputs", _table(("", "tensor", "", "why", "or"), rows))


def _figures(norm: BatchNorm | None) -> tuple[str, str, str]:
    if norm is None:
        return "", "", ""
    return value_range(norm.moving_mean), value_range(norm.moving_variance), f"{norm.epsilon:g}"


def _counted(ops: Mapping[str, int]) -> list[tuple[str, str]]:
    ordered = sorted(ops.items(), key=lambda item: (-item[1], item[0]))
    return [(f"<code>{escape(op)}</code>", str(number)) for op, number in ordered]


def html_page(conversion: Conversion, latency: Latency | None = None) -> str:
    """The page: stages, fates, error growth, moving statistics, sizes and op counts, latency, certificate.

    It loads nothing from anywhere.
    """
    report = conversion.report
    name = (report.model.path or report.source.label).rpartition("/")[2]
    sections = [
        _stages(report),
        _notes(report.notes),
        _comparison(report.check),
        _growth(None if report.check is None else report.check.layers),
        _fates(report),
        _sizes(conversion, latency),
        _statistics(report.batch_norms, report.notes),
        _certificate(conversion),
    ]
    return _page(name, _header(report, name), sections)


def _page(title: str, header: str, sections: Iterable[str]) -> str:
    body = "\n".join(section for section in sections if section)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} — bnfold</title>\n"
        f"<style>{CSS}</style>\n</head>\n<body>\n<main>\n{header}\n{body}\n</main>\n</body>\n</html>\n"
    )


def _header(report: Report, name: str) -> str:
    words, kind = {
        True: ("equal to TensorFlow", "equal"),
        False: ("differs from TensorFlow", "differs"),
        None: ("not compared", "unchecked"),
    }[report.equal]
    made = f"made from {report.source.label} by bnfold {report.versions.get('bnfold', '')}"
    verdict = f'<span class="verdict {kind}">{words}</span>'
    return f'<header><h1>{escape(name)}</h1>{verdict}</header>\n<p class="soft">{escape(made)}</p>'


def _stages(report: Report) -> str:
    folded = [fate for fate in report.fates if not isinstance(fate, Kept)]
    kept = len(report.fates) - len(folded)
    step = "" if report.source.step is None else f", step {report.source.step}"
    ends = "; ".join(f"{end.name} {end.dtype} {shape_text(end.shape)}" for end in (*report.inputs, *report.outputs))
    check = report.check
    said = {
        "load": f"{report.source.kind}, {count(report.source.variables, 'variable')}, "
        f"{amount(report.source.parameters)} parameters{step}",
        "infer": f"{count(len(report.batch_norms), 'batch norm')}; {ends}",
        "fold": f"{len(folded)} folded" + (f", {kept} kept" if kept else ""),
        "export": f"opset {report.model.opset}, {count(sum(report.model.ops.values()), 'node')}, "
        f"{size(report.model.bytes)}",
        "verify": "" if check is None else f"{count(check.samples, 'sample')}, max |onnx − tf| {check.max_error:.1e}",
    }
    longest = max(report.seconds.values(), default=1.0)
    rows = [
        (verb, escape(said.get(verb, "")), f"{seconds:.2f} s", bar(seconds / longest))
        for verb, seconds in report.seconds.items()
    ]
    return _section("Stages", _table(("stage", "", "#time", ""), rows))


def _notes(notes: Sequence[Note]) -> str:
    if not notes:
        return ""
    items = [
        f'<p><b class="{note.level}">{note.level}</b> {escape(note.message)}'
        + (f'<br><span class="soft">{escape(note.hint)}</span>' if note.hint else "")
        + "</p>"
        for note in notes
    ]
    return _section("Notes", "".join(items))


def _comparison(check: CheckReport | None) -> str:
    if check is None:
        return ""
    rows = [
        (
            f"<code>{escape(out.name)}</code>",
            ", ".join(escape(str(list(shape))) for shape in out.shapes),
            *(f"{out.relative_error.get(mode, float('nan')):.1e}" for mode in ("off", "on")),
            _verdict(out.equal, out.reason),
        )
        for out in check.outputs
    ]
    head = ("output", "shapes", "#optimiser off", "#on", "")
    facts = [f"Equal means {check.tolerance.formula}.", f"Seed {check.seed}, data: {check.data}.", *check.notes]
    facts += [f"Problem: {problem}" for problem in check.problems]
    facts += [f"Suspect: {check.suspect}"] if check.suspect else []
    text = "".join(f'<p class="soft">{escape(fact)}</p>' for fact in facts)
    return _section("Comparison: max |onnx − tf| / max |tf|", _table(head, rows) + text)


def _verdict(equal: bool, reason: str) -> str:
    return f'<span class="{"equal" if equal else "differs"}">{"equal" if equal else "differs"}</span>, {escape(reason)}'


def _growth(trace: LayerTrace | None) -> str:
    if trace is None or not trace.layers:
        return ""
    layers = trace.layers
    has_truth = any(layer.onnx_error is not None for layer in layers)
    onnx = [layer.onnx_error if has_truth else layer.relative for layer in layers]
    series = [Series("ONNX", onnx, "one")]
    if has_truth:
        series.append(Series("TensorFlow float32", [layer.tensorflow_error for layer in layers], "two"))
    series.append(Series("allowed", [layer.allowed for layer in layers], "three"))
    wrong = [index for index, layer in enumerate(layers) if layer.name == trace.first]
    plot = log_plot([f"{layer.name} ({layer.op})" for layer in layers], series, marked=wrong)
    key = "".join(f'<span class="{line.kind}"></span>{line.name}' for line in series)
    caption = f'<figcaption class="key">{count(len(layers), "tensor")} in the graph’s order.{key}</figcaption>'
    found = ""
    if trace.first is not None:
        found = (
            f'<p class="wrong-text">First to diverge: <code>{escape(trace.first)}</code>, after '
            f"<code>{escape(trace.last_good or 'the input')}</code>: {escape(', '.join(trace.between))}</p>"
        )
    title = "Error against float64, layer by layer" if has_truth else "Difference, layer by layer"
    return _section(title, f'<figure style="margin:0" class="scroll">{plot}{caption}</figure>{found}')


def _fates(report: Report) -> str:
    if not report.fates:
        return ""
    norms = {norm.name: norm for norm in report.batch_norms}
    kept_first = sorted(report.fates, key=lambda fate: not isinstance(fate, Kept))
    rows = [_fate_row(fate, norms.get(fate.name)) for fate in kept_first]
    return _section("Batch norms", _table(("layer", "fate", "", "saved with"), rows))


def _fate_row(fate: Fate, norm: BatchNorm | None) -> tuple[str, ...]:
    if isinstance(fate, Kept):
        word, detail = '<span class="kept">kept</span>', escape(fate.reason)
    else:
        word = '<span class="folded">folded</span>'
        detail = f"<code>{escape(', '.join(fate.into))}</code> <span class='soft'>{escape(fate.rule)}</span>"
    flag, evidence = ("", "") if norm is None else (escape(norm.flag), escape("; ".join(norm.evidence), quote=True))
    return f"<code>{escape(fate.name)}</code>", word, detail, f'<span title="{evidence}">{flag}</span>'


def _sizes(conversion: Conversion, latency: Latency | None) -> str:
    report = conversion.report
    before = _ops(conversion.reference.graph)
    after = _ops(conversion.folding.inference.graph)
    rows = [
        ("nodes of the graph as saved", str(report.source.nodes), ""),
        ("ops, inference graph before and after folding", str(sum(before.values())), str(sum(after.values()))),
        (
            "nodes of the model",
            "" if latency is None else str(latency.nodes_before),
            str(sum(report.model.ops.values())),
        ),
        ("size of the model", "", size(report.model.bytes)),
    ]
    if latency is not None:
        shapes = ", ".join(str(shape) for shape in latency.shapes.values())
        rows.append((f"onnxruntime, median for {shapes}", f"{latency.before:.2f} ms", f"{latency.after:.2f} ms"))
    changed = [op for op in sorted({*before, *after}) if before[op] != after[op]]
    rows += [(f"<code>{escape(op)}</code>", str(before[op]), str(after[op])) for op in changed]
    return _section("Before and after", _table(("", "#before", "#after"), rows))


def _ops(graph: Iterable[object]) -> Counter[str]:
    return Counter(op for node in graph if (op := getattr(node, "op", "")) not in SHAPE_OPS)


def _statistics(norms: Sequence[BatchNorm], notes: Sequence[Note]) -> str:
    if not norms:
        return ""
    unhealthy = {name: note.kind for note in notes for name in note.nodes}
    ordered = sorted(norms, key=lambda norm: norm.name not in unhealthy)
    cards = "".join(_card(norm, unhealthy.get(norm.name)) for norm in ordered[:MOST_CARDS])
    more = f"<p class='soft'>and {len(norms) - MOST_CARDS} more</p>" if len(norms) > MOST_CARDS else ""
    legend = "<p class='soft'>Moving mean, and moving variance by order of magnitude; the dashed line is epsilon.</p>"
    return _section("Moving statistics", f'{legend}<div class="cards">{cards}</div>{more}')


def _card(norm: BatchNorm, problem: str | None) -> str:
    mark = f'<p class="warning">{escape(problem)}</p>' if problem else ""
    kind = "card unhealthy" if problem else "card"
    return (
        f'<div class="{kind}"><h3>{escape(norm.name)}</h3>{mark}'
        f"<p>mean {value_range(norm.moving_mean)}</p>{histogram(norm.moving_mean)}"
        f"<p>variance {value_range(norm.moving_variance)}</p>"
        f"{histogram(norm.moving_variance, log=True, limit=max(norm.epsilon, 1e-38))}</div>"
    )


def _certificate(conversion: Conversion) -> str:
    if conversion.certificate is None:
        return ""
    text = escape(json.dumps(conversion.certificate, indent=2, ensure_ascii=False))
    return _section(
        "Certificate", f"<details><summary>the JSON that is also in the file</summary><pre>{text}</pre></details>"
    )


# Elements


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; a column whose title begins with # holds numbers."""
    head = "".join(_cell("th", title.removeprefix("#"), title) for title in columns)
    body = "".join(f"<tr>{''.join(_cells(columns, row))}</tr>\n" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}</table></div>'


def _cells(columns: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    for title, cell in zip(columns, row, strict=True):
        yield _cell("td", cell, title)


def _cell(tag: str, content: str, title: str) -> str:
    kind = ' class="number"' if title.startswith("#") else ""
    return f"<{tag}{kind}>{content}</{tag}>"

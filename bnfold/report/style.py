"""The look of the report page: one sheet, light and dark, nothing fetched."""

CSS = """
:root { --ink: #1c2430; --soft: #5d6b7c; --line: #dde3ea; --page: #f6f8fa; --card: #fff; --good: #137a4b;
  --bad: #b42318; --warn: #9a6700; --one: #2563eb; --two: #9aa6b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #303a46; --page: #12161c;
  --card: #1a2029; --good: #4ac98a; --bad: #ff7b72; --warn: #e3b341; --one: #6ea8fe; --two: #65717e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial,
  sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 28px 20px 60px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 8px 16px; margin-bottom: 6px; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 10px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px;
  margin-top: 18px; }
p { margin: 4px 0; }
.soft, figcaption { color: var(--soft); }
.verdict { font-weight: 650; padding: 2px 12px; border-radius: 99px; border: 1.5px solid currentColor; }
.equal, .folded { color: var(--good); } .differs, .wrong-text { color: var(--bad); }
.unchecked, .kept, .warning { color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; color: var(--soft); font-weight: 550; white-space: nowrap; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: 13px; }
td code { overflow-wrap: anywhere; } [title] { text-decoration: underline dotted; text-underline-offset: 3px; }
pre { overflow-x: auto; margin: 10px 0 0; }
summary { cursor: pointer; color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 14px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 10px; min-width: 0; }
.card.unhealthy { border-color: var(--warn); }
.card h3 { font: 600 12px ui-monospace, Menlo, Consolas, monospace; margin: 0 0 6px; overflow-wrap: anywhere; }
.card p { font-size: 12px; color: var(--soft); margin: 4px 0 2px; }
svg { max-width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 11px; }
.histogram text { font-size: 10px; } .histogram rect, .bar rect { fill: var(--one); opacity: .75; }
.histogram .limit { stroke: var(--warn); stroke-width: 1.5; stroke-dasharray: 3 2; }
.grid { stroke: var(--line); } polyline { fill: none; stroke-width: 1.8; }
polyline.one { stroke: var(--one); } circle.one { fill: var(--one); }
polyline.two { stroke: var(--two); } circle.two { fill: var(--two); }
polyline.three { stroke: var(--warn); stroke-dasharray: 4 3; } circle.three { fill: none; }
.wrong { stroke: var(--bad); stroke-width: 2; }
.key span { display: inline-block; width: 22px; height: 3px; vertical-align: middle; margin: 0 6px 0 14px; }
.key .one { background: var(--one); } .key .two { background: var(--two); } .key .three { background: var(--warn); }
"""

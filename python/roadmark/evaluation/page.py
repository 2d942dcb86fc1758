"""Pages of HTML without scripts and without anything to load: frame, style, tables."""

import html
import math
from collections.abc import Iterable, Sequence

_STYLE = """
:root { color-scheme: light }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1200px; padding: 16px; color: #1b1b1b; background: #fff;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
h1 { font-size: 22px; margin: 0 0 4px; overflow-wrap: anywhere }
h2 { font-size: 17px; margin: 28px 0 6px; border-bottom: 1px solid #ccc }
h3 { font-size: 14px; margin: 0 0 4px }
p { margin: 4px 0 10px; max-width: 75ch }
.about { color: #555; overflow-wrap: anywhere }
.tiles, .charts, .sheet { display: grid; gap: 12px }
.tiles { grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)) }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 360px), 1fr)) }
.charts > div { max-width: 560px; min-width: 0 }
.sheet + h3 { margin-top: 14px }
.scroll + .charts, .tiles + p { margin-top: 12px }
.sheet { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)) }
.tile { border: 1px solid #ccc; border-radius: 6px; padding: 8px 10px }
.tile b { display: block; font-size: 24px; font-weight: 600 }
.tile small { color: #555 }
svg { display: block; width: 100%; height: auto; font-size: 11px }
svg text { fill: #333 }
.legend span { display: inline-block; margin-right: 14px; font-size: 13px }
.legend i { display: inline-block; width: 11px; height: 11px; margin-right: 5px }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { padding: 3px 10px; text-align: right; border-bottom: 1px solid #e2e2e2 }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: nowrap }
th { font-weight: 600 }
code { white-space: nowrap }
figure { margin: 0; break-inside: avoid }
figure img { display: block; width: 100%; height: auto; aspect-ratio: 4 / 3; background: #000 }
figure img.whole { aspect-ratio: auto }
.sheet.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 270px), 1fr));
  margin-bottom: 14px }
.settings td { overflow-wrap: anywhere; min-width: 90px; max-width: 320px; vertical-align: top }
.settings td:first-child { white-space: normal; text-align: left }
figcaption { font-size: 12px; line-height: 1.3; padding-top: 3px; overflow-wrap: anywhere }
@media (max-width: 500px) { table { font-size: 13px } th, td { padding: 3px 6px } }
@media print {
  body { max-width: none; padding: 0; font-size: 11px }
  .charts > div, .tile, tr { break-inside: avoid }
  h2, h2 + p, .legend { break-after: avoid }
  table { font-size: 10px }
  th, td { padding: 2px 6px }
  .scroll { overflow: visible }
  .charts { grid-template-columns: repeat(2, 1fr) }
  .sheet { grid-template-columns: repeat(4, 1fr) }
  .sheet.wide { grid-template-columns: repeat(3, 1fr) }
  td, rect, circle, i { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
"""


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: Of the window, as plain text.
        sections: HTML, one below the other.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain texts."""
    first = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    others = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{first}</tr>{others}</table>"


def boxed(content: str) -> str:
    """HTML that scrolls sideways by itself where the page is too narrow for it."""
    return f'<div class="scroll">{content}</div>'


def number(value: float, digits: int = 3) -> str:
    """A number, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"

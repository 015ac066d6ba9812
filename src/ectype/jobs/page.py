"""The pieces of a report page: small pure functions from plain data to HTML and SVG text.

The page is one file that needs nothing else: no script, no font, no address is loaded (and its
content policy forbids it). Labels, file names and notes come from the user's data and are not
trusted, so every piece escapes what it is given; only `raw` pieces made here are joined as they are.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image as Pillow

from ectype.metrics import Score, short

STYLE = """
:root{color-scheme:light dark;--ink:#1d2126;--soft:#5c6670;--paper:#fdfdfc;--card:#f3f4f2;--line:#d5d9dc;
--train:#2463c4;--select:#c4570c;--warn:#fff1d6;--warnline:#c98a00}
@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--soft:#9ba5ae;--paper:#15181b;--card:#1f2428;
--line:#3a424a;--train:#79a9f5;--select:#f0a05a;--warn:#3a2e12;--warnline:#d9a53a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem 1rem 4rem;max-width:62rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.4rem 0}
h2{font-size:1.15rem;margin:2.4rem 0 .5rem;padding-top:.6rem;border-top:1px solid var(--line)}
p{margin:.4rem 0;max-width:46rem}.soft{color:var(--soft);font-size:.92rem}
code{font:.9em ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.warnings{background:var(--warn);border-left:4px solid var(--warnline);padding:.6rem 1rem;margin:1rem 0}
.warnings ul{margin:.2rem 0;padding-left:1.1rem}
figure{margin:.6rem 0}figcaption{color:var(--soft);font-size:.92rem;margin-top:.3rem}
img{max-width:100%;height:auto;display:block;image-rendering:pixelated;border-radius:3px}
.row{display:flex;align-items:center;gap:.8rem;margin:.25rem 0}.row b{flex:0 0 6rem;text-align:right;
font-weight:500;overflow-wrap:anywhere}.row img{min-width:0}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:.8rem}
.charts figure{background:var(--card);border-radius:6px;padding:.6rem;margin:0;min-width:0}
svg{width:100%;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}
svg .axis{stroke:var(--line)}svg .train,svg .bar{stroke:var(--train)}svg .select{stroke:var(--select)}
svg .bar{stroke:none;fill:var(--train)}svg path{fill:none;stroke-width:1.8;stroke-linejoin:round}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.88rem;color:var(--soft)}
.key span{white-space:nowrap;max-width:100%;overflow:hidden;text-overflow:ellipsis}
.key .train{background:var(--train)}.key .select{background:var(--select)}
.key i{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.35em}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.95rem;width:100%}
th,td{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft)}td:nth-child(3){white-space:nowrap}td.n{font-variant-numeric:tabular-nums;white-space:nowrap}
dl{display:grid;grid-template-columns:minmax(6rem,auto) 1fr;gap:.2rem 1rem;margin:.4rem 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere;min-width:0}
@media(max-width:40rem){.row b{flex-basis:3.5rem}thead{display:none}
tr{display:grid;grid-template-columns:1fr 1fr;padding:.5rem 0;border-bottom:1px solid var(--line)}
td{border:0;padding:.1rem .6rem .1rem 0}td:first-child{grid-column:1/-1;font-weight:600}
td:first-child .soft{font-weight:400}td:not(:first-child):not(:empty)::before{display:block;
content:attr(data-h);color:var(--soft);font-size:.82rem}}
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, body: Sequence[str]) -> str:
    """A whole document from a title (plain text) and pieces (HTML)."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(piece for piece in body if piece)
        + "\n</body></html>\n"
    )


def heading(title: str, summary: str) -> str:
    """The page's title and one sentence (plain text) below it."""
    return f"<h1>{escape(title)}</h1>{paragraph(summary)}"


def section(title: str, *pieces: str) -> str:
    """A heading (plain text) and pieces (HTML) below it; nothing when all pieces are empty."""
    kept = [piece for piece in pieces if piece]
    return f"<section><h2>{escape(title)}</h2>\n" + "\n".join(kept) + "</section>" if kept else ""


def paragraph(text: str, *, soft: bool = False) -> str:
    """A paragraph of plain text."""
    opening = '<p class="soft">' if soft else "<p>"
    return f"{opening}{escape(text)}</p>" if text else ""


def warning_box(warnings: Sequence[str]) -> str:
    """What a reader must know before believing anything below; nothing when there is nothing."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(w)}</li>" for w in warnings)
    return f'<div class="warnings" role="note"><b>Read this first</b><ul>{items}</ul></div>'


def facts(pairs: Mapping[str, str]) -> str:
    """Names and values (plain text) as a list; empty values are left out."""
    rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs.items() if v)
    return f"<dl>{rows}</dl>" if rows else ""


def bullets(lines: Sequence[str], most: int = 50) -> str:
    """Lines of plain text as a list, cut after `most`."""
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines[:most])
    left = f"<li>… and {len(lines) - most:,} more</li>" if len(lines) > most else ""
    return f'<ul class="soft">{rows}{left}</ul>' if rows else ""


def embed(picture: Pillow.Image, text: str, wide: int = 480) -> str:
    """A picture as inline PNG with its alternative text, shown about `wide` CSS pixels wide."""
    memory = io.BytesIO()
    picture.save(memory, "PNG", optimize=True)
    code = base64.b64encode(memory.getvalue()).decode("ascii")
    width = picture.width * max(1, round(wide / picture.width))
    return f'<img src="data:image/png;base64,{code}" width="{width}" alt="{escape(text)}">'


def figure(content: str, caption: str) -> str:
    """A piece (HTML) with a caption (plain text)."""
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def labelled_row(label: str, picture: Pillow.Image) -> str:
    """A picture with its label (plain text) to the left."""
    return f'<div class="row"><b>{escape(label)}</b>{embed(picture, f"samples of {label}", wide=420)}</div>'


COLUMNS = ("What", "Value", "Better", "To compare", "On")


def score_table(scores: Sequence[Score]) -> str:
    """The numbers, each with what is needed to judge it."""
    if not scores:
        return ""
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    rows = "".join(_score_row(score) for score in scores)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _score_row(s: Score) -> str:
    floor = "" if s.floor is None else f"{short(s.floor)} ({s.floor_name or 'floor'})"
    on = f"{s.split}, N={s.n:,}" + ("" if s.seed is None else f", seed {s.seed}")
    notes = [s.note] if s.note else []
    if not s.enough:
        notes.append(f"too few items: {s.least:,} are needed")
    note = f'<br><span class="soft">{escape("; ".join(notes))}</span>' if notes else ""
    better = {"higher": "higher ↑", "lower": "lower ↓", "neither": "—"}[s.better]
    cells = [f'<td class="n" data-h="{COLUMNS[1]}">{escape(s.figures)}</td>']
    # on a phone each row is a card, and every cell then shows its column's name
    for name, text in zip(COLUMNS[2:], (better, floor, on), strict=True):
        cells.append(f'<td data-h="{name}">{escape(text)}</td>')
    return f"<tr><td>{escape(s.name)}{note}</td>{''.join(cells)}</tr>"

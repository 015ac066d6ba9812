"""Texts as one picture: lines that fit into cells, in a font that has their characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
SIZE, WIDTH, LINES, GAP = 13, 200, 8, 6
LINE = SIZE + 4
FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "msyh.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "FreeSerif.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "Lohit-Devanagari.ttf",
    "Nirmala.ttf",
    "NotoSansThai-Regular.ttf",
    "Garuda.ttf",
    "LeelawUI.ttf",
)
"""Tried by name, in this order, where Pillow's own font lacks a character."""
_JOINER, _VIRAMA = "\u200d", 9
_NEVER = "\uffff"  # no font has it, so it is drawn as what stands for a missing character


def lettered(texts: Sequence[str], columns: int = 4) -> Pillow.Image:
    """The texts in cells of one width, in rows of at most `columns` and never wider than four.

    A text is cut after eight lines. A character no font at hand has is shown as its number in braces.
    """
    font, missing = font_for("".join(texts))
    shown = [_lines("".join(f"{{{ord(c):X}}}" if c in missing else c for c in text), font) for text in texts]
    columns = max(1, min(columns, len(texts), 4))
    rows = [shown[i : i + columns] for i in range(0, len(shown), columns)]
    heights = [max(1, *map(len, row)) * LINE + GAP for row in rows]
    page = Pillow.new("RGB", (columns * (WIDTH + 2 * GAP), max(LINE, sum(heights))), "white")
    draw = ImageDraw.Draw(page)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for i, lines in enumerate(row):
            for j, line in enumerate(lines):
                draw.text((i * (WIDTH + 2 * GAP) + GAP, top + j * LINE), line, fill="black", font=font)
        top += height
        draw.line((0, top - GAP // 2, page.width, top - GAP // 2), fill="gainsboro")
    return page


def font_for(text: str) -> tuple[Font, set[str]]:
    """The first font that has all characters, else the one that lacks fewest, and what it lacks."""
    # joiners and marks of direction are obeyed and not drawn
    characters = {c for c in text if not c.isspace() and unicodedata.category(c) != "Cf"}
    best: tuple[Font, set[str]] | None = None
    for name in (None, *FONTS):
        try:
            font = ImageFont.load_default(SIZE) if name is None else ImageFont.truetype(name, SIZE)
        except OSError:
            continue  # not on this machine
        lacks = _lacking(font, characters)
        if best is None or len(lacks) < len(best[1]):
            best = font, lacks
        if not lacks:
            break
    return best or (ImageFont.load_default(), set())


def _lacking(font: Font, characters: set[str]) -> set[str]:
    blank = _drawn(font, _NEVER)
    return {c for c in characters if _drawn(font, c) == blank}


def _drawn(font: Font, character: str) -> bytes:
    return bytes(font.getmask(character))


def _lines(text: str, font: Font) -> list[str]:
    """The text in lines no wider than a cell, broken at spaces where there are any."""
    lines = [""]
    for paragraph in text.splitlines():
        if lines[-1]:
            lines.append("")
        for word in paragraph.split():
            if lines[-1] and font.getlength(f"{lines[-1]} {word}") <= WIDTH:
                lines[-1] += f" {word}"
                continue
            if lines[-1]:
                lines.append("")
            for letter in letters(word):  # a word may be wider than a line, and Chinese has no spaces
                if lines[-1] and font.getlength(lines[-1] + letter) > WIDTH:
                    lines.append("")
                lines[-1] += letter
        if len(lines) > LINES:
            break
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], "…"]


def letters(word: str) -> list[str]:
    """A word's characters, each with the marks, vowel signs and joined letters that are drawn with it."""
    found: list[str] = []
    for character in word:
        last = found[-1][-1] if found else " "
        joined = _JOINER in (character, last) or unicodedata.combining(last) == _VIRAMA
        if found and (joined or unicodedata.category(character).startswith("M")):
            found[-1] += character
        else:
            found.append(character)
    return found

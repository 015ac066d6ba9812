"""The pictures of docs/any-to-any.md, made by running the page's own commands.

    ./dev shell python docs/make_pictures.py FOLDER

Runs and results go into FOLDER; a run that is finished there is not trained again. What a command writes
to made/NAME becomes docs/pictures/NAME.png: the sheet itself, or the one in the folder.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from PIL import Image as Pillow

from ectype.surfaces.cli import main as main_of_ectype

DOCS = Path(__file__).resolve().parent
SHEETS = ("comparison.png", "fills.png", "contact-sheet.png")
WIDEST = 480
"""Pixels across of a picture in the docs."""


def commands(page: str) -> list[list[str]]:
    """The words of every line of a page that calls ectype, but for those that say `# not run here`."""
    lines = [line for line in page.splitlines() if line.startswith("ectype ")]
    return [shlex.split(line, comments=True) for line in lines if not line.endswith("# not run here")]


def shrunk(made: Path, target: Path) -> None:
    """A sheet as a small picture of 64 colours; a strip that would be too low to see is halved into rows."""
    whole = made if made.suffix == ".png" else next(made / name for name in SHEETS if (made / name).is_file())
    with Pillow.open(whole) as opened:
        picture = opened.convert("RGB")
    while picture.width > max(WIDEST, 8 * picture.height):
        half = picture.width // 2
        rows = Pillow.new("RGB", (half, 2 * picture.height), "white")
        rows.paste(picture.crop((0, 0, half, picture.height)), (0, 0))
        rows.paste(picture.crop((half, 0, 2 * half, picture.height)), (0, picture.height))
        picture = rows
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)))
    picture.quantize(64).save(target, optimize=True)


def main() -> None:
    """Run what is missing, then write the pictures."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    home = Path(sys.argv[1]).resolve()
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    for _, job, *words in commands((DOCS / "any-to-any.md").read_text(encoding="utf-8")):
        out = home / words[words.index("--out") + 1]
        if job == "train":
            if (out / "report.html").is_file():
                continue
            shutil.rmtree(out, ignore_errors=True)  # a run that was interrupted
        print(f"ectype {shlex.join([job, *words])}", flush=True)
        again = [] if job == "train" else ["--overwrite"]
        if main_of_ectype([job, *words, *again]):
            raise SystemExit(1)  # which has said why
        if job != "train":
            target = DOCS / "pictures" / f"{out.stem}.png"
            target.parent.mkdir(exist_ok=True)
            shrunk(out, target)


if __name__ == "__main__":
    main()

"""Pictures to stored arrays: one size, one number of channels, damaged ones named and left out.

The rule. Pictures that all have one size of at most 64 pixels a side keep it. Otherwise the target has
the median aspect, and as its longest side the median longest side, at most 64. A picture of another
size is scaled to cover the target and cut around its centre. The most general colour present wins
(grey < RGB < RGBA); 16 bits are kept where all are grey. An alpha that is opaque everywhere, and
colours that are all grey, are dropped.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image as Pillow
from tqdm import tqdm

from ectype.data.found import Found, Picture
from ectype.data.store import Mapped, Resident, Store, cache_folder, room
from ectype.errors import DataError, UsageError
from ectype.kinds.image import Image
from ectype.kinds.levels import dtype
from ectype.kinds.pixels import channels_of, deep, upright_size

Array = np.ndarray[Any, Any]
T = TypeVar("T")
LONGEST = 64
MOST_PIXELS = 120_000_000
BLOCK = 256


class Form(NamedTuple):
    """What a picture's header says."""

    height: int
    width: int
    channels: int
    sixteen: bool


Size = int | str | tuple[int, int] | None


def survey(found: Found, where: str, strict: bool) -> list[Form]:
    """The pictures' forms; unreadable ones are dropped from `found`, or refused with `strict`."""
    forms = list(_each(found.pictures or [], _form, "looking at pictures"))
    _drop(found, [form if isinstance(form, str) else None for form in forms], where, strict)
    return [form for form in forms if not isinstance(form, str)]


def target(forms: list[Form], size: Size, notes: list[str]) -> tuple[int, int]:
    """Height and width all pictures will have, by the rule at the top; `size` overrides it."""
    exact = exact_size(size)
    if exact is not None:
        return exact
    sizes = {(form.height, form.width) for form in forms}
    longest = max(max(one) for one in sizes)
    if len(sizes) == 1 and size is None and longest <= LONGEST:
        return sizes.pop()
    usual = round(median(max(form.height, form.width) for form in forms))
    side = int(size) if isinstance(size, int | str) else min(LONGEST, usual)
    aspect = median(form.width / form.height for form in forms)
    height, width = round(side / max(1, aspect)) or 1, round(side * min(1, aspect)) or 1
    if size is None:
        what = f"pictures of {len(sizes)} sizes" if len(sizes) > 1 else f"pictures of {longest} pixels"
        notes.append(f"{what} were scaled and cut to {height}x{width}; size= chooses another")
    return height, width


def exact_size(size: Size) -> tuple[int, int] | None:
    """Height and width where `size` gives both ("HxW" or a pair); None for one number or none."""
    if size is None or isinstance(size, int):
        if size is not None and size < 1:
            raise UsageError(f"size={size}: at least 1 pixel")
        return None
    try:
        sides = [int(v) for v in (size.lower().split("x") if isinstance(size, str) else size)]
        if len(sides) <= 2 and min(sides) > 0:
            return (sides[0], sides[1]) if len(sides) == 2 else None
    except ValueError:
        pass
    raise UsageError(
        f"size={size!r}: a number of pixels for the longest side, or height and width as '32x48'"
    )


def decode(found: Found, kind: Image, where: str, strict: bool, limit: float | None) -> Store:
    """All pictures as levels of the kind; ones that turn out damaged are dropped from `found`.

    What does not fit into memory is decoded once into a file of the cache, named after the list of
    pictures and the kind, and mapped.
    """
    pictures = found.pictures or []
    form = (len(pictures), *kind.shape.form)
    if np.prod(form, dtype=np.float64) * np.dtype(dtype(kind.depth)).itemsize <= room(limit):
        out = np.empty(form, dtype(kind.depth))
        bad = _fill(out, pictures, kind)
        _drop(found, bad, where, strict)
        return Resident(torch.from_numpy(out[: len(found)]))
    key = json.dumps([kind.state(), [(p.name, p.stamp) for p in pictures]])
    path = cache_folder() / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.npy"
    about = path.with_suffix(".json")
    if not (path.exists() and about.exists()):
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        mapped = np.lib.format.open_memmap(draft, "w+", dtype(kind.depth), form)
        about.write_text(json.dumps(_fill(mapped, pictures, kind)), encoding="utf-8")
        mapped.flush()
        os.replace(draft, path)
    _drop(found, json.loads(about.read_text(encoding="utf-8")), where, strict)
    return Mapped(np.load(path, mmap_mode="r")[: len(found)], lambda part: part)


def _fill(out: Array, pictures: list[Picture], kind: Image) -> list[str | None]:
    """Decode into `out`, good ones one after the other; what is wrong with each, or None."""
    bad: list[str | None] = []
    filled = 0
    for result in _each(pictures, kind.pack, "reading pictures"):
        bad.append(result if isinstance(result, str) else None)
        if not isinstance(result, str):
            out[filled] = result
            filled += 1
    return bad


def _each(pictures: list[Picture], work: Callable[[Pillow.Image], T], what: str) -> Iterator[T | str]:
    """The work's result for each picture, or what is wrong with it, in order; decoding runs in threads."""

    def one(picture: Picture) -> T | str:
        try:
            with picture.open() as image:
                if image.width * image.height > MOST_PIXELS:
                    return f"{image.width}x{image.height} pixels are too many"
                return work(image)
        except Exception as error:  # a damaged file can make Pillow raise anything
            return (str(error).strip() or type(error).__name__).splitlines()[0]

    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # odd metadata of a picture that decodes well
        # the bar shows after two seconds, and only on a terminal
        with tqdm(total=len(pictures), desc=what, delay=2, disable=None, leave=False) as bar:
            for start in range(0, len(pictures), BLOCK):
                yield from pool.map(one, pictures[start : start + BLOCK])
                bar.update(min(BLOCK, len(pictures) - start))


def _form(image: Pillow.Image) -> Form:
    return Form(*upright_size(image), channels_of(image), deep(image))


def _drop(found: Found, bad: list[str | None], where: str, strict: bool) -> None:
    """Keep the pictures nothing is wrong with; name the others in the notes, or refuse."""
    wrong = [i for i, reason in enumerate(bad) if reason is not None]
    if not wrong or found.pictures is None:
        return
    first = [f"{found.pictures[i].name} ({bad[i]})" for i in wrong[:5]]
    named = "; ".join(first) + ("; …" if len(wrong) > 5 else "")
    many = f"{len(wrong)} of {len(bad)} pictures cannot be read"
    if strict:
        raise DataError(f"{where}: {many}: {named}; repair or remove them, or read without strict")
    if len(wrong) == len(bad):
        raise DataError(f"{where}: none of the {len(bad)} pictures can be read: {named}")
    found.notes.append(f"{many} and were left out: {named}")
    found.keep([i for i, reason in enumerate(bad) if reason is None])

"""Grey pictures drawn as black and white once and for all."""

from __future__ import annotations

import torch

from ectype.data.arrays import parts
from ectype.data.store import Resident, Store
from ectype.errors import DataError
from ectype.kinds.image import Image
from ectype.noise import mix, uniform

BLOCK = 256


def binarised(store: Store, kind: Image, seed: int) -> Store:
    """Static binarisation: 255 with probability level / white; the draw of item i depends on (seed, i) only.

    Arguments:
        store: grey levels (N, C, H, W).
        kind: the grey kind of those levels.
        seed: of the draw.

    Raises DataError where the data is too large to be held.
    """
    if not isinstance(store, Resident):
        raise DataError(
            "static binarisation holds the drawn pictures in memory and they do not fit; "
            "use binarise='dynamic', a smaller size, or a larger limit"
        )
    out = torch.empty(store.tensor.shape, dtype=torch.uint8)
    form = store.tensor.shape[1:]
    for block, start in enumerate(range(0, len(store), BLOCK)):
        grey = store.tensor[start : start + BLOCK].to(torch.float32) / kind.white
        # always a whole block, so that an item's numbers do not depend on how many items there are
        u = uniform((BLOCK, *form), torch.Generator().manual_seed(mix(seed, block)))[: len(grey)]
        out[start : start + BLOCK] = (u < grey).to(torch.uint8) * 255
    return Resident(out)


def refuse_binary(where: str) -> None:
    """Raise DataError: pictures that are to be binarised already are."""
    raise DataError(
        f"{where}: the pictures are black and white already; leave binarise out "
        "(binarised twice they would compare with no published number)"
    )


def black_and_white(kind: Image, store: Store) -> bool:
    """Whether pictures of more than one bit hold black and white only, both."""
    if not isinstance(store, Resident) or kind.depth == 1:
        return False
    values = store.tensor.numpy()
    if values.min() != 0 or values.max() != kind.white:
        return False
    return all(bool(((part == 0) | (part == kind.white)).all()) for part in parts(values))

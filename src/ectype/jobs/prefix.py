"""Texts that begin as somebody said: what follows is drawn, given the beginning.

    p(rest | b, c) = E[p(rest | b, z, c)],  z ~ p(z | b, c)      b the beginning

Codes of a beginning are found among many candidates (`candidates.py`); a model without a latent needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.jobs.candidates import drawn
from ectype.likelihoods.written import PADDING, WrittenDistribution, check_courage

if TYPE_CHECKING:
    from ectype.jobs.inputs import Given
    from ectype.runs import Run


def continued(
    run: Run,
    prefix: str,
    *,
    given: Given | None,
    draws: int,
    temperature: float,
    nucleus: float,
    seed: int,
) -> list[str]:
    """Texts that begin with `prefix`, to the symbol; draw k depends on the seed and k alone.

    Arguments:
        given: conditions all of them have.
        temperature, nucleus: of the symbols that are drawn, as `Distribution.tempered` has them.

    Raises UsageError for a model that writes no texts and a beginning it does not know or has no room for.
    """
    from ectype.jobs.decoding import CHUNK, evaluating, noise_of_pixels
    from ectype.jobs.inputs import context_of, device_of

    check_courage(temperature, nucleus)
    begun = _symbols(run, prefix).to(device_of(run))
    padded = F.pad(begun, (0, run.kind.shape.sites - begun.shape[1]), value=PADDING)
    made: list[str] = []
    with evaluating(run):
        context = context_of(run, given, CHUNK)
        found = drawn(run.model, padded, None if context is None else context[:1], seed, range(draws))
        for start in range(0, draws, CHUNK):
            # always a whole chunk, so that a draw does not depend on how many there are
            numbers = range(start, start + CHUNK)
            z = torch.stack([next(found) for _ in numbers[: draws - start]])
            z = torch.cat([z, z[-1:].expand(CHUNK - len(z), -1)])
            p = run.model.decode(z, context).tempered(temperature, nucleus)
            if not isinstance(p, WrittenDistribution):
                raise UsageError("this model writes a text at once: train one with --network recurrent")
            x = p.continued(begun.expand(CHUNK, -1), noise_of_pixels(seed, numbers))
            made += [run.kind.unpack(array) for array in run.kind.stored(x[: draws - start])]
    return made


def _symbols(run: Run, prefix: str) -> Tensor:
    """A beginning as symbols (1, t), without an end."""
    from ectype.jobs.inputs import asked
    from ectype.kinds.text import FIRST, Text

    if not isinstance(run.kind, Text):
        raise UsageError(f"a prefix begins a text, and this model makes items of the kind {run.kind.name}")
    row = torch.from_numpy(asked(run.kind, prefix)).long()
    return row[row >= FIRST].unsqueeze(0)

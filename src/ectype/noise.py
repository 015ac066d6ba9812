"""Noise is an argument: every random number in the package is drawn through these two functions.

Two sources are understood. A `torch.Generator` gives one stream for a whole batch (training). A
`PerItem` gives each item a stream of its own that depends on (seed, item) only, so that the first
four of sixteen samples are the four of `--count 4`, at any batch size (jobs and evaluation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

_ODD = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: the increment of SplitMix64
_MASK = 0xFFFFFFFFFFFFFFFF


def mix(*numbers: int) -> int:
    """One well-spread 63-bit seed from several integers.

    The finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
    generators", figure 17), folded over the numbers, so (seed, step) and (step, seed) differ.
    """
    state = 0
    for number in numbers:
        state = (state + (number & _MASK) + _ODD) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


class PerItem:
    """One stream of noise per item: item `i` draws from `mix(seed, i)` and from nothing else.

    Arguments:
        temperature: what its normal numbers are multiplied by. A latent made of them stays where its
            prior is, however bent that is; moved in a straight line to the prior's mean it would not.
    """

    def __init__(self, seed: int, items: Iterable[int], *, temperature: float = 1.0) -> None:
        self.streams = [torch.Generator().manual_seed(mix(seed, item)) for item in items]
        self.temperature = temperature


Noise = torch.Generator | PerItem | None


def normal(form: Sequence[int], noise: Noise, device: torch.device | None = None) -> Tensor:
    """Standard normal numbers of shape `form`, whose first axis is the batch (B, ...)."""
    if isinstance(noise, PerItem):
        _check(form, noise)
        each = torch.stack([torch.randn(form[1:], generator=s) for s in noise.streams]).to(device)
        return each if noise.temperature == 1 else noise.temperature * each
    return torch.randn(form, generator=noise, device=device)


def uniform(form: Sequence[int], noise: Noise, device: torch.device | None = None) -> Tensor:
    """Numbers in [0, 1) of shape `form`, whose first axis is the batch (B, ...)."""
    if isinstance(noise, PerItem):
        _check(form, noise)
        return torch.stack([torch.rand(form[1:], generator=s) for s in noise.streams]).to(device)
    return torch.rand(form, generator=noise, device=device)


def _check(form: Sequence[int], noise: PerItem) -> None:
    if form[0] != len(noise.streams):
        raise ValueError(f"noise for {len(noise.streams)} items asked for a batch of {form[0]}")

"""Parts that several networks share: the stem that reads any shape, and the condition's way in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.context import Context, Ports
from ectype.errors import UsageError, did_you_mean
from ectype.shapes import Grid, Joint, Shape, Tokens

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "elu": F.elu,
    "gelu": F.gelu,
    "leaky": partial(F.leaky_relu, negative_slope=0.2),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


def activation_called(name: str) -> Callable[[Tensor], Tensor]:
    """The activation of that name; raises UsageError with the nearest known one."""
    if name not in ACTIVATIONS:
        raise UsageError(f"there is no activation called '{name}'{did_you_mean(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


def checked_share(dropout: float) -> float:
    """The share of units to silence; raises UsageError where it is none."""
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is a share of the units, from 0 to below 1, not {dropout}")
    return dropout


@final
class Stem(nn.Module):
    """Reads an item of any shape into floats, with unobserved values replaced by a learned constant.

    Grids in [0, 1] are centred to [-1, 1]; tokens enter as one-hots, and so do soft one-hots
    (B, *size, V), which is how the output of a text or table generator reaches a critic.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        form = (*shape.size, shape.vocabulary) if isinstance(shape, Tokens) else shape.form
        self.form = form
        self.fill = nn.Parameter(torch.zeros(form[0] if isinstance(shape, Grid) else 1))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x (B, *form) and seen (B, *sites) to floats (B, *self.form)."""
        if isinstance(self.shape, Tokens):
            if x.dim() == 1 + len(self.shape.size):
                if seen is not None:  # an unseen token may be out of the vocabulary
                    x = torch.where(seen.bool(), x, torch.zeros_like(x))
                x = F.one_hot(x.long(), self.shape.vocabulary).float()
            if seen is not None:
                x = torch.where(seen.bool().unsqueeze(-1), x, self.fill)
            return x
        if isinstance(self.shape, Grid):
            x = 2 * x - 1
        if seen is not None:
            if seen.dim() < x.dim():  # a joint-channel pixel is one site
                seen = seen.unsqueeze(1)
            x = torch.where(seen.bool(), x, self.fill.view(-1, *(1 for _ in self.form[1:])))
        return x


@final
class Stems(nn.Module):
    """Reads items of several parts (B, values) into one row of floats, each part by a stem of its own."""

    def __init__(self, shape: Joint) -> None:
        super().__init__()
        self.shape = shape
        stems = [Stem(part) for part in shape.parts]
        self.form = (sum(prod(stem.form) for stem in stems),)
        self.stems = nn.ModuleList(stems)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """x and seen (B, values) to floats (B, *self.form)."""
        masks = [None] * len(self.stems) if seen is None else self.shape.split(seen)
        pieces = zip(self.stems, self.shape.split(x), masks, strict=True)
        return torch.cat([stem(piece, mask).flatten(1) for stem, piece, mask in pieces], 1)


def stem_of(shape: Shape) -> Stem | Stems:
    """What reads an item of this shape."""
    return Stems(shape) if isinstance(shape, Joint) else Stem(shape)


@final
class Waves(nn.Module):
    """Numbers and their waves sin(2^k x), cos(2^k x), k below `octaves`: (B, C) to (B, C · (1 + 2 octaves)).

    A fully connected network learns slow functions of its input long before fast ones; for numbers of
    unit deviation the fastest of six octaves tells apart what lies a thirtieth of a deviation from each
    other. Tancik et al. 2020, "Fourier features let networks learn high frequency functions in low
    dimensional domains", equation 5; the octaves are those of Mildenhall et al. 2020, "NeRF", equation 4.
    Raises UsageError unless 0 <= octaves <= 16.
    """

    def __init__(self, octaves: int) -> None:
        super().__init__()
        if not 0 <= octaves <= 16:
            raise UsageError(f"waves is a number of octaves, from 0 to 16, not {octaves}")
        self.register_buffer("rates", 2.0 ** torch.arange(octaves), persistent=False)
        self.factor = 1 + 2 * octaves

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C) to (B, C · factor)."""
        if self.factor == 1:
            return x
        phases = (x.unsqueeze(2) * self.get_buffer("rates")).flatten(1)
        return torch.cat([x, phases.sin(), phases.cos()], 1)


@final
class Conv2d(nn.Conv2d):
    """A convolution that becomes a linear layer where its output is one pixel.

    There it is one product of the kernel with the window it meets, and the rows and columns that meet
    only padding drop out: from 3 x 3 to 1 x 1 that is a third faster on a CPU than the kernel for
    convolutions, and the deeper the network the more of its weights lie there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) to (B, O, H', W')."""
        if self.groups > 1 or isinstance(self.padding, str) or self.padding_mode != "zeros":
            return super().forward(x)
        weight = self.weight
        for axis in (0, 1):
            size, pad, kernel = x.shape[2 + axis], self.padding[axis], self.kernel_size[axis]
            if (
                self.dilation[axis] != 1
                or pad >= kernel
                or (size + 2 * pad - kernel) // self.stride[axis] != 0
            ):
                return super().forward(x)
            # what is left of a padded side or a picture longer than the kernel
            weight = weight.narrow(2 + axis, pad, min(kernel - pad, size))
        x = x[..., : weight.shape[2], : weight.shape[3]]
        # with the channels last, as both lie in memory, so that flattening copies whole rows
        flat = weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), flat, self.bias)[..., None, None]


def space_to_depth(x: Tensor, size: tuple[int, int], fit: tuple[int, int]) -> Tensor:
    """(B, C, *size) to (B, r·s·C, *fit) by r by s patches, zero-padded to a whole number of them."""
    r, s = -(-size[0] // fit[0]), -(-size[1] // fit[1])
    x = F.pad(x, (0, s * fit[1] - size[1], 0, r * fit[0] - size[0]))
    b, c = x.shape[:2]
    x = x.permute(0, 2, 3, 1).reshape(b, fit[0], r, fit[1], s, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(b, *fit, r * s * c).permute(0, 3, 1, 2)


def beside(x: Tensor, context: Context | None) -> Tensor:
    """x (B, C, H, W) with what the context has on the grid as further channels (B, C + A, H, W)."""
    if context is None or context.aligned is None:
        return x
    return torch.cat([x, context.aligned.to(x.dtype)], 1)


@final
class Guide(nn.Module):
    """h + a convolution of what lies on the grid, brought to h's size.

    At half the grid's size and above all of it enters, patch by patch; below its means do.
    """

    def __init__(self, ports: Ports, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.grid, self.size = ports.grid, size
        self.whole = all(g <= 2 * s for g, s in zip(ports.grid, size, strict=True))
        patch = prod(-(-g // s) for g, s in zip(ports.grid, size, strict=True)) if self.whole else 1
        self.convolution = nn.Conv2d(ports.aligned * patch, channels, 3, padding=1)

    def forward(self, h: Tensor, context: Context | None) -> Tensor:
        """h (B, C, *size) to the same."""
        if context is None or context.aligned is None:
            return h
        grid = context.aligned.to(h.dtype)
        if self.whole:
            grid = space_to_depth(grid, self.grid, self.size)
        else:
            grid = F.adaptive_avg_pool2d(grid, self.size)
        out: Tensor = h + self.convolution(grid)
        return out


@final
class Modulation(nn.Module):
    """h · (1 + a(c)) + b(c): how a condition scales and shifts features, starting as the identity.

    Perez, Strub, de Vries, Dumoulin and Courville 2018, "FiLM: Visual reasoning with a general
    conditioning layer", equation 1.
    """

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(context, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor, vector: Tensor) -> Tensor:
        """h (B, C, ...) and a vector (B, V) to (B, C, ...)."""
        scale, shift = self.linear(vector).to(h.dtype).chunk(2, 1)
        form = (*scale.shape, *(1 for _ in h.shape[2:]))
        return h * (1 + scale.view(form)) + shift.view(form)


@final
class Attention(nn.Module):
    """h + attention of each place of h to the context's tokens, starting as the identity.

        softmax(Q Kᵀ / √d) V   with Q from h, K and V from the tokens that exist

    Vaswani et al. 2017, "Attention is all you need", equation 1, with heads of about 32 channels.
    """

    def __init__(self, context: int, channels: int) -> None:
        super().__init__()
        self.heads = max(1, min(8, channels // 32))
        inner = 32 * self.heads
        self.query = nn.Linear(channels, inner)
        self.key_value = nn.Linear(context, 2 * inner)
        self.out = nn.Linear(inner, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, context: Context) -> Tensor:
        """h (B, C, ...) and the context's tokens to (B, C, ...)."""
        places = h.flatten(2).transpose(1, 2) if h.dim() > 2 else h.unsqueeze(1)

        def split(x: Tensor) -> Tensor:
            return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

        key, value = (split(part) for part in self.key_value(context.tokens).chunk(2, 2))
        # written out: PyTorch's fused attention has no second derivative, which a critic's penalty needs
        score = split(self.query(places)) @ key.transpose(2, 3) / 32**0.5
        score = score.float().masked_fill(~context.mask[:, None, None, :], -torch.inf)
        found = torch.softmax(score, 3).to(value.dtype) @ value
        out = self.out(found.transpose(1, 2).flatten(2)).transpose(1, 2)
        return h + out.reshape(h.shape).to(h.dtype)


ATTENDED = 64
"""Places up to which a picture attends to tokens: beyond 8 x 8 attention takes most of the time."""


@final
class Entrance(nn.Module):
    """The ways in of a context at one layer: scale and shift by its vector, attention to its tokens.

    Arguments:
        ports: what the context has.
        channels: of the layer's features.
        places: how many there are; above ATTENDED none attends.
    """

    def __init__(self, ports: Ports, channels: int, places: int = 1) -> None:
        super().__init__()
        self.modulation = Modulation(ports.vector, channels) if ports.vector else None
        attends = ports.tokens and places <= ATTENDED
        self.attention = Attention(ports.vector, channels) if attends else None

    def forward(self, h: Tensor, context: Context | None) -> Tensor:
        """h (B, C, ...) to the same."""
        if context is None:
            return h
        if self.attention is not None:
            h = self.attention(h, context)
        return h if self.modulation is None else self.modulation(h, context.vector)

"""Choices with a gradient: what a generator of texts or labels emits, for a critic to read.

    y = log p + g, g Gumbel noise      a = softmax(y / τ)      x = one-hot(argmax y), with the gradient of a

x is a draw from p (Gumbel-max) and exactly one-hot; only its gradient is the relaxed one's. Jang, Gu and
Poole 2017, "Categorical reparameterization with Gumbel-softmax", equations 1 and 2 and section 2.2
(straight-through); a is what Maddison, Mnih and Teh 2017, "The concrete distribution", equation 10, draw.

All symbols are chosen at once, independent of each other given z. Of a text nothing follows the end:

    alive_t = prod_{s<t} (1 - x_s[end])      x_t ← alive_t x_t + (1 - alive_t) padding

which is exact too, and whose gradient says what an end at s does to all that stands after it. Padding is
never chosen and the last symbol is the end, where there was none before; but in pieces of a stream, which
have no end there.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.likelihoods import Choices, Likelihood
from ectype.likelihoods.categorical import CategoricalDistribution
from ectype.likelihoods.written import END, PADDING
from ectype.noise import Noise
from ectype.shapes import Shape, Tokens

MOST = 1 << 16
"""Numbers V · T of one item up to which a critic reads it: 256 symbols at 256 places."""


@final
class GumbelDistribution(Choices):
    """Labels or texts by independent categories.

    Arguments:
        choices: of each place, (B,) or (B, T) of V.
        relaxation: τ.
    """

    def __init__(self, choices: CategoricalDistribution, relaxation: float) -> None:
        self.choices = choices
        self.relaxation = relaxation

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), 0 where a text is padded, (B, *form)."""
        log_p = self.choices.log_prob(x)
        return log_p if x.dim() == 1 else torch.where(x.long() == PADDING, 0.0, log_p)

    def draw(self, noise: Noise = None) -> Tensor:
        return _ended(self.choices.draw(noise))

    def emitted(self, noise: Noise = None) -> Tensor:
        """The same draw as one-hots with a gradient, (B, V, T), T being 1 for labels."""
        y = self.choices.perturbed(noise)
        soft = torch.softmax(y / self.relaxation, -1)
        # the bracket is 0 exactly, so that nothing is added to ones and zeros but a gradient
        x = F.one_hot(y.argmax(-1), y.shape[-1]) + (soft - soft.detach())
        if x.dim() == 2:
            return x.unsqueeze(2)
        before = torch.cat([x.new_ones(len(x), 1), 1 - x[:, :-1, END]], 1)
        alive = before.cumprod(1).unsqueeze(2)
        nothing = F.one_hot(x.new_full((1, 1), PADDING, dtype=torch.long), x.shape[2])
        return (alive * x + (1 - alive) * nothing).transpose(1, 2)

    def tempered(self, temperature: float = 1.0, nucleus: float = 1.0) -> GumbelDistribution:
        return GumbelDistribution(self.choices.tempered(temperature, nucleus), self.relaxation)

    @property
    def mode(self) -> Tensor:
        return _ended(self.choices.mode)


def _ended(x: Tensor) -> Tensor:
    """Texts (B, T) with nothing after their first end; labels (B,) as they are."""
    if x.dim() == 1:
        return x
    ends = (x == END).cumsum(1)
    return torch.where((ends > 0) & ~((ends == 1) & (x == END)), PADDING, x)


@final
class Gumbel(Likelihood):
    """Labels and texts that a critic judges.

    Arguments:
        relaxation: temperature of the softmax that a gradient takes through a choice of symbols: nearer to 0
            truer and wilder.
    """

    discrete = True
    density = False
    shown = "draw"

    def __init__(self, shape: Shape, *, relaxation: float = 1.0) -> None:
        super().__init__(shape)
        if not isinstance(shape, Tokens):
            raise UsageError(f"gumbel needs labels or texts, and this data is a {type(shape).__name__}")
        if not 0 < relaxation < math.inf:
            raise UsageError(f"relaxation is a temperature above 0, not {relaxation}")
        if (values := shape.vocabulary * shape.sites) > MOST:
            raise UsageError(
                f"{shape.vocabulary:,} symbols at {shape.sites:,} places are {values:,} numbers to a critic, "
                f"and a gan of choices is for small vocabularies, up to {MOST:,} (256 at 256): use a vae"
            )
        self.numbers = (shape.vocabulary, shape.sites)
        self.relaxation = relaxation
        self.register_buffer("origin", torch.zeros(self.numbers))
        # whether items go on behind their last place, as pieces of a stream do: an end there would tell them
        self.register_buffer("open", torch.zeros(()))
        self.register_buffer("barred", self._barred(shape), persistent=False)

    def _barred(self, shape: Tokens) -> Tensor:
        """What is added to the logits (2, V, T): of items that end at the last place, of those that go on."""
        barred = torch.zeros(2, *self.numbers)
        if shape.size:
            barred[:, PADDING] = -torch.inf
            barred[0, :, -1] = -torch.inf
            barred[0, END, -1] = 0.0
        return barred

    def begin(self, x: Tensor) -> None:
        """0 means how often each symbol stands at each place, by Laplace's rule of succession."""
        places = x.reshape(len(x), -1)
        known = ~places.isnan()
        ones = F.one_hot(places.nan_to_num(PADDING).long(), self.numbers[0]) * known.unsqueeze(2)
        counts = ones.sum(0).T + 1
        self.get_buffer("origin").copy_(torch.log(counts / counts.sum(0)))
        goes_on = counts.shape[1] > 1 and bool((places[:, -1].nan_to_num(PADDING) > END).any())
        self.get_buffer("open").fill_(float(goes_on))

    def forward(self, h: Tensor) -> GumbelDistribution:
        ends, goes_on = self.get_buffer("barred")
        barred = torch.where(self.get_buffer("open") > 0, goes_on, ends)
        logits = (h.float() + self.get_buffer("origin") + barred).transpose(1, 2)
        if isinstance(self.shape, Tokens) and not self.shape.size:
            logits = logits.squeeze(1)
        return GumbelDistribution(CategoricalDistribution(logits), self.relaxation)

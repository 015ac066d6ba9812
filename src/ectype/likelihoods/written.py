"""Texts that are written symbol by symbol: p(x) = prod_t p(x_t | x_1, ..., x_(t-1)).

    writer.read(writer.states(x))    what a text's own beginning says about each of its symbols, all at once
    writer.step(symbol, state)       the same one symbol at a time, with a state that is carried along

Id 0 is padding and 1 the end. Nothing follows the end and padding is never written, so that how far a text
is padded changes nothing. Before the first symbol stands the end of another text.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional as F

from ectype.errors import UsageError
from ectype.likelihoods import Choices
from ectype.noise import Noise, uniform

PADDING, END = 0, 1


class Writer(ABC):
    """What a decoder that writes symbol by symbol returns in place of numbers.

    Arguments:
        items: B.
        device: where it computes.
    """

    def __init__(self, items: int, device: torch.device) -> None:
        self.items = items
        self.device = device

    @abstractmethod
    def states(self, x: Tensor) -> Tensor:
        """Texts (B, T) to (B, T, C): at t what is known of x_1, ..., x_(t-1)."""

    @abstractmethod
    def read(self, states: Tensor) -> Tensor:
        """States (..., C) to logits (..., V) of what follows."""

    def logits(self, x: Tensor) -> Tensor:
        """Texts (B, T) to (B, T, V): at t of what follows x_1, ..., x_(t-1)."""
        return self.read(self.states(x))

    @abstractmethod
    def start(self) -> Any:
        """The state before the first symbol."""

    @abstractmethod
    def step(self, symbol: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What was written last (B,), at first the end, to logits (B, V) of the next, and the new state."""

    @abstractmethod
    def taken(self, state: Any, rows: Tensor) -> Any:
        """The state in which item i goes on where rows[i], of the same z and conditions, was; rows (B,)."""


def delayed(x: Tensor) -> Tensor:
    """Texts (B, T) one symbol later: what is known when each symbol is written."""
    return torch.cat([x.new_full((len(x), 1), END), x[:, :-1]], 1)


def check_courage(temperature: float, nucleus: float) -> None:
    """Raise UsageError for numbers with which no symbol can be drawn."""
    if not (0 <= temperature < math.inf and 0 < nucleus <= 1):
        raise UsageError(
            "temperature is 0 or more and nucleus a share of the probability, above 0 and at most 1, "
            f"not {temperature} and {nucleus}"
        )


def inside(logits: Tensor, nucleus: float) -> Tensor:
    """Logits (..., V), -inf outside the fewest symbols that have this share of the probability together.

    Holtzman, Buys, Du, Forbes and Choi 2020, "The curious case of neural text degeneration", section 3.1.
    """
    if nucleus >= 1:
        return logits
    p, order = torch.softmax(logits, -1).sort(-1, descending=True)
    outside = (p.cumsum(-1) - p >= nucleus).gather(-1, order.argsort(-1))
    return logits.masked_fill(outside, -torch.inf)


@final
class WrittenDistribution(Choices):
    """Texts of at most `length` symbols, the end among them, by a writer.

    Arguments:
        writer: of a batch of B.
        length: T.
        temperature: what logits are divided by when symbols are drawn; 0: the most probable one.
        nucleus: share of the probability that is drawn from, as in `inside`.
    """

    def __init__(
        self, writer: Writer, length: int, *, temperature: float = 1.0, nucleus: float = 1.0
    ) -> None:
        self.writer = writer
        self.length = length
        self.temperature = temperature
        self.nucleus = nucleus

    def log_prob(self, x: Tensor) -> Tensor:
        """Texts (B, T) to (B, T), 0 where there is padding."""
        x = x.long()
        there = x != PADDING
        last = there.any(0).nonzero()
        steps = int(last[-1]) + 1 if len(last) else 1
        x, there = x[:, :steps], there[:, :steps]
        # V numbers for each symbol are most of the work with a large vocabulary: none for padding
        logits = self.writer.read(self.writer.states(x)[there])[:, 1:].float()
        nats = F.cross_entropy(logits, x[there] - 1, reduction="none")
        known = nats.new_zeros(x.shape).masked_scatter(there, -nats)
        return F.pad(known, (0, self.length - steps))

    def tempered(self, temperature: float = 1.0, nucleus: float = 1.0) -> WrittenDistribution:
        check_courage(temperature, nucleus)
        return WrittenDistribution(self.writer, self.length, temperature=temperature, nucleus=nucleus)

    def draw(self, noise: Noise = None) -> Tensor:
        # all of it beforehand: an item's noise must not depend on how long the others of its batch are
        u = uniform((self.writer.items, self.length), noise, self.writer.device)
        if self.temperature == 0:
            return self.mode
        return self._write(lambda logits, t: self._drawn(logits, u[:, t : t + 1]))

    def continued(self, begun: Tensor, noise: Noise = None) -> Tensor:
        """Texts (B, T) whose first symbols are those of `begun` (B, t); what follows is drawn."""
        u = uniform((self.writer.items, self.length), noise, self.writer.device)

        def choose(logits: Tensor, t: int) -> Tensor:
            if t < begun.shape[1]:
                return begun[:, t] - 1
            return logits.argmax(1) if self.temperature == 0 else self._drawn(logits, u[:, t : t + 1])

        return self._write(choose)

    def likeliest(self, beam: int) -> Tensor:
        """Texts (B / beam, T) that a search for the most probable ones finds; the writer's batch is K-major.

        The `beam` most probable beginnings of each text go on together, an ended one stays with them until
        it is beaten. log p of whole texts is compared as it is, not divided by their length: p(x) has an end,
        and the most probable text is what is asked for.
        """
        n = self.writer.items // beam
        x = torch.full((self.writer.items, self.length), PADDING, device=self.writer.device)
        item = torch.arange(n, device=x.device).unsqueeze(1)
        nats = torch.full((beam, n), -math.inf, device=x.device)
        nats[0] = 0  # all begin alike, so that one of them is enough
        last, state = torch.full_like(x[:, 0], END), self.writer.start()
        ended = torch.zeros_like(last, dtype=torch.bool)
        for t in range(self.length):
            logits, state = self.writer.step(last, state)
            steps = F.log_softmax(logits[:, 1:].float(), 1)
            steps[ended] = -math.inf
            steps[ended, 0] = 0  # an ended text has one way to go on, which costs nothing
            symbols = steps.shape[1]
            best = (nats.view(-1, 1) + steps).view(beam, n, -1).transpose(0, 1).flatten(1).topk(beam, 1)
            nats = best.values.T.contiguous()
            rows = (best.indices // symbols * n + item).T.flatten()
            last = 1 + (best.indices % symbols).T.flatten()
            x, ended, state = x[rows], ended[rows], self.writer.taken(state, rows)
            x[:, t] = torch.where(ended, PADDING, last)
            ended = ended | (last == END)
            if bool(ended[:n].all()):  # the best have ended, and others can only become less probable
                break
        return x[:n]

    def _drawn(self, logits: Tensor, u: Tensor) -> Tensor:
        """Symbols (B,) of logits (B, V) by where u (B, 1) falls among their summed probabilities."""
        p = torch.softmax(inside(logits / self.temperature, self.nucleus), 1)
        total = p.cumsum(1)
        return (total <= u * total[:, -1:]).sum(1).clamp(max=p.shape[1] - 1)

    def _write(self, choose: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Texts (B, T), whose symbol t is what `choose` says of logits (B, V - 1), without padding's."""
        x = torch.full((self.writer.items, self.length), PADDING, device=self.writer.device)
        last, state = torch.full_like(x[:, 0], END), self.writer.start()
        ended = torch.zeros_like(last, dtype=torch.bool)
        for t in range(self.length):
            logits, state = self.writer.step(last, state)
            last = torch.where(ended, PADDING, 1 + choose(logits[:, 1:].float(), t))
            x[:, t] = last
            ended = ended | (last == END)
            if bool(ended.all()):
                break
        return x

    @property
    def mode(self) -> Tensor:
        """The most probable symbol after each beginning, which need not be the most probable text."""
        return self._write(lambda logits, _: logits.argmax(1))

"""One player of the game: its parameters, its optimiser, and the step that moves it alone."""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor, nn

from ectype.hardware import laid_out


class Player:
    """Adam over one player's parameters, with clipping by the running mean of its gradient.

        m ← β₁ m + (1 - β₁) g     v ← β₂ v + (1 - β₂) g²     w ← w - rate · (m̂ / (√v̂ + ε) + decay · w)

    Kingma and Ba 2015, "Adam", algorithm 1, with the weight decay of Loshchilov and Hutter 2019,
    "Decoupled weight decay regularization", algorithm 2. A gradient longer than `clip` times the
    running mean of its own length is shortened to that: a bound in absolute nats would mean something
    else for every likelihood and picture size. A step whose gradient is not finite moves nothing; that
    is decided on the device, without waiting for it.

    The kernel is PyTorch's own, called directly: torch.optim around it takes 0.2 to 0.3 ms a step,
    a tenth of a small network's, and imports the compiler, a second, before the first.

    Arguments:
        parameters: what the player owns; gradients reach these and no others.
        decay: decoupled weight decay.
        clip: largest gradient in units of its running mean; 0: no clipping.
        betas: β₁ and β₂.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        decay: float,
        clip: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.parameters = parameters
        self.decay = decay
        self.clip = clip
        self.betas = betas
        device = parameters[0].device
        self.first = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters]
        self.second = [torch.zeros_like(p, memory_format=torch.preserve_format) for p in parameters]
        for moment in (*self.first, *self.second):
            moment.requires_grad_(False)
        self.steps = torch.zeros((), device=device)
        self.norm = torch.zeros((), device=device)
        self.length = self.norm
        """Of the newest gradient."""

    def move(self, total: Tensor, rate: float) -> Tensor:
        """Descend the scalar `total` by one step; returns 1 where nothing moved, else 0, on device."""
        found = torch.autograd.grad(total, self.parameters, allow_unused=True)
        used = [i for i, gradient in enumerate(found) if gradient is not None]
        with torch.no_grad():
            # the kernel divides gradients where they lie: one that belongs to two weights is copied
            shared = Counter(found[i].data_ptr() for i in used)
            gradients = [
                laid_out(found[i], self.parameters[i], shared[found[i].data_ptr()] > 1) for i in used
            ]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            self.length = norm
            broken = (~torch.isfinite(norm)).float()
            self._descend(used, gradients, rate, broken, self._shortening(norm, broken))
        return broken

    def _shortening(self, norm: Tensor, broken: Tensor) -> Tensor | None:
        """What the gradient has to be divided by, at least 1; moves the running mean of its length."""
        if self.clip == 0:
            return None
        known = self.norm > 0  # no running mean before the first finite step
        limit = torch.where(known, self.clip * self.norm, norm)
        blend = torch.where(known, 0.02, 1.0) * (1 - broken)
        self.norm.lerp_(torch.minimum(norm, limit).nan_to_num(0.0, 0.0, 0.0), blend)
        return (norm / limit.clamp(min=1e-30)).clamp(min=1.0)

    def _descend(
        self, used: list[int], gradients: list[Tensor], rate: float, broken: Tensor, scale: Tensor | None
    ) -> None:
        self.steps += 1 - broken
        # divides by `scale` on its way through the gradients, and leaves everything as it is where
        # `broken` is 1: neither takes a pass of its own
        torch._fused_adamw_(
            [self.parameters[i] for i in used],
            gradients,
            [self.first[i] for i in used],
            [self.second[i] for i in used],
            [],
            [self.steps] * len(used),
            lr=rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
            grad_scale=scale,
            found_inf=broken,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's memory by name."""
        out = {"norm": self.norm, "steps": self.steps}
        for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            out |= {f"{i}.first": first, f"{i}.second": second}
        return out

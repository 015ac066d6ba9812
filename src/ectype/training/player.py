"""One player of the game: its parameters, its optimiser, and the step that moves it alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Player:
    """Fused Adam over one player's parameters, with clipping by the running mean of its gradient.

    A gradient longer than `clip` times the running mean of its own length is shortened to that: a
    bound in absolute nats would mean something else for every likelihood and picture size. A step
    whose gradient is not finite moves nothing; that is decided on the device, without waiting for it.

    Arguments:
        parameters: what the player owns.
        rate: learning rate.
        decay: decoupled weight decay.
        clip: largest gradient in units of its running mean; 0: no clipping.
    """

    def __init__(self, parameters: list[nn.Parameter], rate: float, decay: float, clip: float) -> None:
        self.parameters = parameters
        self.clip = clip
        self.optimizer = torch.optim.AdamW(
            parameters, lr=rate, betas=(0.9, 0.999), weight_decay=decay, fused=True
        )
        self.norm = torch.zeros((), device=parameters[0].device)

    def own(self, mine: bool) -> None:
        """Whether gradients reach this player's parameters."""
        for parameter in self.parameters:
            parameter.requires_grad_(mine)

    def move(self, total: Tensor, rate: float) -> Tensor:
        """Descend the scalar `total` by one step; returns 1 where nothing moved, else 0, on device."""
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        broken = (~torch.isfinite(norm)).float()
        if self.clip > 0:
            known = self.norm > 0  # no running mean before the first finite step
            limit = torch.where(known, self.clip * self.norm, norm)
            blend = torch.where(known, 0.02, 1.0) * (1 - broken)
            self.norm.lerp_(torch.minimum(norm, limit).nan_to_num(0.0, 0.0, 0.0), blend)
            # fused Adam divides by it on its way through the gradients: clipping without a pass of its own
            self.optimizer.grad_scale = (norm / limit.clamp(min=1e-30)).clamp(min=1.0)  # type: ignore[attr-defined]
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # and leaves everything as it is where found_inf is 1
        self.optimizer.found_inf = broken  # type: ignore[attr-defined]
        self.optimizer.step()
        return broken

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's memory by name, made now if no step was taken yet."""
        out = {"norm": self.norm}
        for i, p in enumerate(self.parameters):
            state = self.optimizer.state[p]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
                state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            out |= {f"{i}.{name}": state[name] for name in ("step", "exp_avg", "exp_avg_sq")}
        return out

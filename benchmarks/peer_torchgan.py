"""torchgan's side of a comparison: its DCGAN and its losses' own training steps.

Runs in the peer's environment (`pip install --no-deps torchgan==0.1.0` beside torch), where ectype is not
installed. torchgan imports torchvision for its logger, which nothing here uses: an empty stand-in serves.
"""

from __future__ import annotations

import json
import sys
import time
import types
from typing import Any

import torch
from _record import versions

for name in ("torchvision", "torchvision.transforms", "torchvision.utils", "torchvision.models"):
    sys.modules[name] = types.ModuleType(name)

from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss  # noqa: E402
from torchgan.models import DCGANDiscriminator, DCGANGenerator  # noqa: E402


def train(steps: int, batch: int) -> dict[str, Any]:
    """Milliseconds per step of critic and generator, as torchgan's Trainer calls them."""
    torch.manual_seed(0)
    generator = DCGANGenerator(100, 32, 3, 64, batchnorm=False, last_nonlinearity=torch.nn.Identity())
    critic = DCGANDiscriminator(32, 3, 64, batchnorm=False, last_nonlinearity=torch.nn.Identity())
    device = torch.device("cpu")
    adam = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (generator, critic)]
    losses = MinimaxGeneratorLoss(nonsaturating=True), MinimaxDiscriminatorLoss()
    data = torch.rand(2000, 3, 32, 32)
    began = 0.0
    for i in range(steps + 3):
        if i == 3:
            began = time.perf_counter()
        real = data[torch.randint(len(data), (batch,))]
        losses[1].train_ops(generator, critic, adam[1], real, device)
        losses[0].train_ops(generator, critic, adam[0], device, batch)
    count = sum(p.numel() for net in (generator, critic) for p in net.parameters())
    seconds = time.perf_counter() - began
    return {"ms_per_step": round(1000 * seconds / steps, 3), "steps": steps, "parameters": count}


if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(settings.pop("threads"))
    settings.pop("case")
    print(json.dumps({**train(**settings), "versions": versions("torchgan", "torch")}))

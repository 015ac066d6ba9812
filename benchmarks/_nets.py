"""The peer's networks as plain modules, layer for layer, without the squashing at the end.

Pythae's networks end in a sigmoid and its loss takes probabilities; ours end in logits. The model is
the same. `ConvEncoder` is built from ectype's convolution, which turns itself into a linear layer where
it emits one pixel, or from PyTorch's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ectype.likelihoods.written import Writer, delayed
from ectype.models.critic import Critic
from ectype.networks.blocks import Conv2d
from ectype.networks.recurrent import embedded_in

MLP_LATENT, CONV_LATENT, HIDDEN = 40, 16, 400


class MlpEncoder(nn.Module):
    """x (B, 1, 28, 28) to (B, 80): mean and log scale of 40 latents."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, HIDDEN)
        self.out = nn.Linear(HIDDEN, 2 * MLP_LATENT)

    def forward(self, x: Tensor, context: Any = None, seen: Any = None) -> Tensor:
        h: Tensor = self.out(F.relu(self.hidden(x.flatten(1))))
        return h


class MlpDecoder(nn.Module):
    """z (B, 40) to logits (B, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(MLP_LATENT, HIDDEN)
        self.out = nn.Linear(HIDDEN, 784)

    def forward(self, z: Tensor, context: Any = None) -> Tensor:
        h: Tensor = self.out(F.relu(self.hidden(z)))
        return h.view(-1, 1, 28, 28)


class ConvEncoder(nn.Module):
    """pythae.models.nn.benchmarks.mnist.Encoder_Conv_VAE_MNIST: x (B, 1, 28, 28) to (B, 32)."""

    def __init__(self, conv: type[nn.Conv2d] = Conv2d) -> None:
        super().__init__()
        widths = (1, 128, 256, 512, 1024)
        layers: list[nn.Module] = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [conv(a, b, 4, 2, padding=1), nn.BatchNorm2d(b), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(1024, 2 * CONV_LATENT)

    def forward(self, x: Tensor, context: Any = None, seen: Any = None) -> Tensor:
        h: Tensor = self.out(self.layers(x).flatten(1))
        return h


class ConvDecoder(nn.Module):
    """pythae.models.nn.benchmarks.mnist.Decoder_Conv_AE_MNIST: z (B, 16) to logits (B, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(CONV_LATENT, 1024 * 4 * 4)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(1024, 512, 3, 2, padding=1),
            nn.BatchNorm2d(512),
            nn.ReLU(),
            nn.ConvTranspose2d(512, 256, 3, 2, padding=1, output_padding=1),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.ConvTranspose2d(256, 1, 3, 2, padding=1, output_padding=1),
        )

    def forward(self, z: Tensor, context: Any = None) -> Tensor:
        h = self.hidden(z).view(-1, 1024, 4, 4)
        out: Tensor = self.layers(h.contiguous(memory_format=torch.channels_last))
        return out


class DcganCritic(nn.Module):
    """torchgan's DCGANDiscriminator(32, 3, 64, batchnorm=False): x (B, 3, 32, 32) to logits (B,)."""

    pack = 1
    conditioner = None

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((3, 64), (64, 128), (128, 256)):
            layers += [Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, Conv2d(256, 1, 4, 1, 0))

    whole, held, condition = Critic.whole, Critic.held, Critic.condition

    def forward(self, x: Tensor, context: Any = None, seen: Any = None) -> Tensor:
        h: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return h.float().flatten()


class DcganGenerator(nn.Module):
    """torchgan's DCGANGenerator(100, 32, 3, 64, batchnorm=False): z (B, 100) to (B, 3, 32, 32).

    Its first layer, a transposed convolution of 1 x 1 to 4 x 4, is the linear layer that it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(100, 256, 4, 1, 0)
        layers: list[nn.Module] = [nn.LeakyReLU(0.2)]
        for a, b in ((256, 128), (128, 64)):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1))

    def forward(self, z: Tensor, context: Any = None) -> Tensor:
        weight = self.first.weight.permute(0, 2, 3, 1).flatten(1)
        h = (z @ weight).view(-1, 4, 4, 256).permute(0, 3, 1, 2) + self.first.bias.view(1, -1, 1, 1)
        out: Tensor = self.layers(h)
        return out


class SentenceEncoder(nn.Module):
    """Sentence-VAE's reader: x (B, T) of symbols by way of a GRU's last state to (B, 2 * latent)."""

    def __init__(self, embedding: nn.Embedding, units: int, latent: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.gru = nn.GRU(embedding.embedding_dim, units, batch_first=True)
        self.out = nn.Linear(units, 2 * latent)

    def forward(self, x: Tensor, context: Any = None, seen: Any = None) -> Tensor:
        embedded, mask = embedded_in(self.embedding, x)
        # what comes after a text's end changes nothing before it, so that nothing has to be packed
        at = (mask.sum(1) - 1).view(-1, 1, 1).expand(-1, 1, self.gru.hidden_size)
        h: Tensor = self.out(self.gru(embedded)[0].gather(1, at).squeeze(1))
        return h


class SentenceDecoder(nn.Module):
    """Sentence-VAE's writer: z (B, latent) is a GRU's first state; half of what it reads is silenced."""

    writes = True

    def __init__(self, embedding: nn.Embedding, units: int, latent: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = nn.Dropout(0.5)
        self.tail = nn.Linear(latent, units)
        self.gru = nn.GRU(embedding.embedding_dim, units, batch_first=True)
        self.head = nn.Linear(units, embedding.num_embeddings)

    def forward(self, z: Tensor, context: Any = None) -> Writer:
        return SentenceWriting(self, self.tail(z))


class SentenceWriting(Writer):
    """Texts by a `SentenceDecoder` from a first state (B, C)."""

    def __init__(self, network: SentenceDecoder, first: Tensor) -> None:
        super().__init__(len(first), first.device)
        self.network = network
        self.first = first

    def states(self, x: Tensor) -> Tensor:
        embedded = self.network.dropout(self.network.embedding(delayed(x)))
        states: Tensor = self.network.gru(embedded, self.start())[0]
        return states

    def read(self, states: Tensor) -> Tensor:
        logits: Tensor = self.network.head(states)
        return logits

    def start(self) -> Tensor:
        return self.first.unsqueeze(0)

    def step(self, symbol: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        states, state = self.network.gru(self.network.embedding(symbol).unsqueeze(1), state)
        return self.read(states.squeeze(1)), state

    def taken(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[:, rows].contiguous()


CASES_OF_TWO = {"dcgan": (DcganCritic, DcganGenerator)}
CASES = {
    "mlp": (MlpEncoder, MlpDecoder, MLP_LATENT),
    "conv": (ConvEncoder, ConvDecoder, CONV_LATENT),
    "conv-plain": (lambda: ConvEncoder(nn.Conv2d), ConvDecoder, CONV_LATENT),
}

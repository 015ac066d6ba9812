"""Texts that are written symbol by symbol: every network, by what has to hold for each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ectype.catalog import NETWORKS, find
from ectype.context import Context, Ports
from ectype.errors import UsageError
from ectype.likelihoods.categorical import Categorical, CategoricalDistribution
from ectype.likelihoods.written import END, WrittenDistribution, delayed
from ectype.noise import PerItem
from ectype.shapes import Tokens

NAMES = [name for name in NETWORKS if find("networks", name).Decoder.writes]
WAYS = [*NAMES, "lstm"]  # and the other cell of recurrent
over_networks = pytest.mark.parametrize("name", WAYS)
SIZES: dict[str, dict[str, Any]] = {
    "causal": {"width": 8, "layers": 3},
    "lstm": {"units": 8, "layers": 2, "cell": "lstm"},
    "recurrent": {"units": 8, "layers": 2},
    "transformer": {"width": 8, "heads": 2, "layers": 2},
}
V, T, D, WIDTH = 6, 9, 4, 5


def network_of(name: str) -> Any:
    return find("networks", "recurrent" if name == "lstm" else name)


def context(n: int, seed: int = 0) -> Context:
    noise = torch.Generator().manual_seed(seed)
    mask = torch.tensor([True, True, False]).expand(n, 3)
    vector, tokens = torch.randn(n, WIDTH, generator=noise), torch.randn(n, 3, WIDTH, generator=noise)
    return Context(vector, tokens, mask)


def decoder(name: str, latent: int = D, *, length: int = T, vocabulary: int = V, **options: Any) -> nn.Module:
    """A decoder none of whose layers is zero, in eval mode."""
    torch.manual_seed(1)
    ports = Ports(WIDTH, tokens=True)
    network: nn.Module = network_of(name).Decoder(
        latent, (length, vocabulary), context=ports, **{**SIZES.get(name, {}), **options}
    )
    with torch.no_grad():
        for p in network.parameters():
            p += 0.2 * torch.randn(p.shape)
    return network.eval()


def written(name: str, n: int = 3, **options: Any) -> WrittenDistribution:
    length, vocabulary = options.get("length", T), options.get("vocabulary", V)
    z = torch.randn(3, D, generator=torch.Generator().manual_seed(2))[:n]
    p = Categorical(Tokens(vocabulary, (length,)))(decoder(name, **options)(z, context(3)[:n]))
    assert isinstance(p, WrittenDistribution)
    return p


def texts(n: int = 3) -> Tensor:
    """Texts of different lengths with their end and padding."""
    x = torch.randint(2, V, (n, T), generator=torch.Generator().manual_seed(3))
    for i in range(n):
        x[i, 3 + 2 * i % 6] = END
        x[i, 4 + 2 * i % 6 :] = 0
    return x


@torch.no_grad()
def test_no_logits_are_made_of_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    p, x, asked = written("recurrent"), texts(), []
    whole, read = p.log_prob(x), p.writer.read
    monkeypatch.setattr(p.writer, "read", lambda states: asked.append(states.shape) or read(states))
    assert torch.equal(p.log_prob(x), whole) and asked == [(int((x != 0).sum()), 8)]
    assert not p.log_prob(torch.zeros_like(x)).any()
    logits = p.writer.logits(x)[..., 1:]
    each = torch.log_softmax(logits, -1).gather(2, (x - 1).clamp(min=0).unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(whole, torch.where(x != 0, each, 0.0))


@over_networks
@torch.no_grad()
def test_what_comes_later_changes_nothing_before(name: str) -> None:
    writer, x = written(name).writer, torch.randint(2, V, (3, T))
    whole = writer.logits(x)
    assert whole.shape == (3, T, V)
    for t in range(T):
        changed = x.clone()
        changed[:, t] = 2 + (x[:, t] - 1) % (V - 2)
        other = writer.logits(changed)
        assert torch.equal(other[:, : t + 1], whole[:, : t + 1])
        if t + 1 < T:
            assert not torch.equal(other[:, t + 1], whole[:, t + 1])


@over_networks
@torch.no_grad()
def test_step_by_step_is_the_same_as_all_at_once(name: str) -> None:
    writer, x = written(name).writer, torch.randint(0, V, (3, T))
    whole, state = writer.logits(x), writer.start()
    for t, symbol in enumerate(delayed(x).unbind(1)):
        logits, state = writer.step(symbol, state)
        assert torch.allclose(logits, whole[:, t], atol=1e-5)


@over_networks
@torch.no_grad()
def test_the_probabilities_of_all_texts_sum_to_one(name: str) -> None:
    length, vocabulary = 3, 4
    every = []
    for symbols in itertools.chain.from_iterable(
        itertools.product(range(2, vocabulary), repeat=k) for k in range(length + 1)
    ):
        ended = [*symbols, END][:length]  # what fills all there is room for need not end
        every.append(ended + [0] * (length - len(ended)))
    x = torch.tensor(every)
    torch.manual_seed(0)
    z = torch.randn(1, D).expand(len(x), -1)
    network = decoder(name, length=length, vocabulary=vocabulary)
    p = Categorical(Tokens(vocabulary, (length,)))(network(z, context(1).repeat(len(x))))
    assert float(p.log_prob(x).sum(1).exp().sum()) == pytest.approx(1, abs=1e-5)


@over_networks
@torch.no_grad()
def test_how_far_a_batch_is_padded_changes_nothing(name: str) -> None:
    x = nn.functional.pad(texts(), (0, 40))
    longer = x.clone()
    longer[2] = torch.randint(2, V, (T + 40,))
    p = written(name, length=T + 40)
    assert torch.allclose(p.log_prob(x)[:2], p.log_prob(longer)[:2], atol=1e-5)
    assert (p.log_prob(x)[x == 0] == 0).all() and (p.log_prob(longer)[2] < 0).all()
    alone = written(name, n=1, length=T + 40).log_prob(x[:1])
    assert torch.allclose(alone, p.log_prob(x)[:1], atol=1e-5)


@over_networks
def test_gradients_reach_the_code_and_the_conditions(name: str) -> None:
    network, given = decoder(name), context(3)
    z = torch.randn(3, D, requires_grad=True)
    given.vector.requires_grad_()
    given.tokens.requires_grad_()
    p = Categorical(Tokens(V, (T,)))(network(z, given))
    x = texts()
    p.log_prob(x).sum().backward()
    assert z.grad is not None and given.vector.grad is not None and given.tokens.grad is not None
    assert (z.grad != 0).all() and (given.vector.grad != 0).all()
    assert (given.tokens.grad[:, :2] != 0).all() and (given.tokens.grad[:, 2] == 0).all()
    with torch.no_grad():  # z says something about every symbol, however much is known already
        one, two = (network(torch.randn(3, D), context(3)).logits(x) for _ in range(2))
    assert (one != two).any(2).all()


@over_networks
@torch.no_grad()
def test_draws_follow_the_probabilities(name: str) -> None:
    n = 4000
    z = torch.randn(1, D, generator=torch.Generator().manual_seed(0)).expand(n, -1)
    p = Categorical(Tokens(V, (T,)))(decoder(name)(z, context(1).repeat(n)))
    first = torch.softmax(p.writer.logits(torch.full((n, 1), END))[0, 0, 1:].double(), 0)
    x = p.draw(torch.Generator().manual_seed(1))
    found = torch.bincount(x[:, 0], minlength=V)[1:] / n
    assert (found - first).abs().max() < 4 * 0.5 / n**0.5
    ends = (x == END).cumsum(1) - (x == END).long()
    assert (x[ends > 0] == 0).all() and ((x == 0) == (ends > 0)).all()  # one end, then nothing but padding
    cold, top = p.tempered(0.0).draw(None), p.tempered(nucleus=1e-6).draw(None)
    assert torch.equal(cold, p.mode) and torch.equal(top, p.mode) and torch.equal(p.mean, p.mode)
    bold = p.tempered(0.5).draw(torch.Generator().manual_seed(1))
    halved = torch.softmax(first.log() / 0.5, 0)
    found = torch.bincount(bold[:, 0], minlength=V)[1:] / n
    assert (found - halved).abs().max() < 4 * 0.5 / n**0.5


@over_networks
@torch.no_grad()
def test_a_draw_does_not_depend_on_how_long_others_are(name: str) -> None:
    x = written(name, n=3).draw(PerItem(0, range(3)))
    z = torch.randn(3, D, generator=torch.Generator().manual_seed(2))
    one = Categorical(Tokens(V, (T,)))(decoder(name)(z[1:2], context(3)[1:2]))
    assert torch.equal(one.draw(PerItem(0, [1])), x[1:2])


@over_networks
def test_skipped_symbols_are_not_read(name: str) -> None:
    network = decoder(name, skip=0.999999).train()
    z = torch.randn(2, D)
    one, two = (network(z, context(2)).logits(torch.randint(2, V, (2, T))) for _ in range(2))
    assert torch.equal(one, two)
    network.eval()
    one, two = (network(z, context(2)).logits(torch.randint(2, V, (2, T))) for _ in range(2))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_written_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} writes texts, not items of form"):
        find("networks", name).Decoder(4, (1, 8, 8))
    with pytest.raises(UsageError, match=r"a share of the units"):
        decoder(name, skip=1.0)
    for temperature, nucleus in ((-1.0, 1.0), (1.0, 0.0), (1.0, 1.5)):
        with pytest.raises(UsageError, match="temperature is 0 or more and nucleus a share"):
            written(name).tempered(temperature, nucleus)


def test_a_nucleus_keeps_the_most_probable_symbols() -> None:
    p = CategoricalDistribution(torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(2000, -1))
    few = p.tempered(nucleus=0.6)
    assert few.log_p[0].exp().tolist() == pytest.approx([0.625, 0.375, 0, 0])
    assert set(few.draw(torch.Generator().manual_seed(0)).tolist()) == {0, 1}
    assert torch.equal(p.tempered(0.0).draw(None), p.mode)


@over_networks
@torch.no_grad()
def test_the_order_of_a_batch_changes_nothing(name: str) -> None:
    torch.manual_seed(0)
    encoder = network_of(name).Encoder(Tokens(V, (T,)), 4, **SIZES.get(name, {})).eval()
    x, order = texts(), torch.tensor([2, 0, 1])
    assert torch.allclose(encoder(x)[order], encoder(x[order]), atol=1e-6)
    assert torch.allclose(encoder(x)[:1], encoder(x[:1, : int((x[0] > 0).sum())]), atol=1e-6)


@over_networks
@torch.no_grad()
def test_a_search_with_all_beginnings_finds_the_most_probable_text(name: str) -> None:
    length, vocabulary, beam = 4, 4, 3**4
    options: dict[str, Any] = {"length": length, "vocabulary": vocabulary}
    z = torch.randn(3, D, generator=torch.Generator().manual_seed(2))
    likelihood, network = Categorical(Tokens(vocabulary, (length,))), decoder(name, **options)
    p = likelihood(network(z.repeat(beam, 1), context(3).repeat(beam)))
    assert isinstance(p, WrittenDistribution)
    every = torch.tensor([row for row in itertools.product(range(4), repeat=length) if whole(row)])
    single = likelihood(network(z, context(3)))
    nats = torch.stack([single.log_prob(row.expand(3, -1)).sum(1) for row in every])
    assert torch.equal(p.likeliest(beam), every[nats.argmax(0)])
    one = likelihood(network(z, context(3)))
    assert isinstance(one, WrittenDistribution)
    assert torch.equal(one.likeliest(1), one.mode)


def whole(row: tuple[int, ...]) -> bool:
    """Whether a text has no padding before its end and nothing but padding after it."""
    stop = row.index(END) if END in row else len(row)
    return all(s > END for s in row[:stop]) and not any(row[stop + 1 :])


@over_networks
@torch.no_grad()
def test_a_beginning_is_kept(name: str) -> None:
    p, begun = written(name), torch.tensor([[2, 3], [4, 2], [5, 5]])
    noise = PerItem(4, range(3))
    x = p.continued(begun, noise)
    assert torch.equal(x[:, :2], begun)
    assert torch.equal(p.continued(begun[:, :0], PerItem(4, range(3))), p.draw(PerItem(4, range(3))))
    best = p.tempered(0.0).continued(begun)  # type: ignore[attr-defined]
    assert torch.equal(best, p.tempered(0.0).continued(begun))  # type: ignore[attr-defined]


def test_a_cell_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="cell is gru or lstm, not 'rnn'"):
        decoder("recurrent", cell="rnn")
    with pytest.raises(UsageError, match="cell is gru or lstm, not 'rnn'"):
        network_of("recurrent").Encoder(Tokens(V, (T,)), 4, cell="rnn")

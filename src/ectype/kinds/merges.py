"""Byte pair encoding: symbols for runs of bytes that occur often; needs the extra `bpe`.

Starting from bytes, the pair of neighbours that is most frequent becomes a symbol, again and again, never
across the beginning of a word: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with
Subword Units", section 3.2, on bytes as in Radford et al. 2019, "Language Models are Unsupervised Multitask
Learners", section 2.2. The package `tokenizers` learns and applies the merges; it writes bytes in an alphabet
of its own, which is translated here, so that texts are put together again without it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ectype.errors import MissingExtra, UsageError
from ectype.kinds.units import BYTES, Parted, parted

MANY = 2000
"""Symbols where nobody says how many."""
MOST = 65_536
Merges = tuple[tuple[str, str], ...]


def learned(texts: Iterable[str], many: int | None = None) -> tuple[tuple[str, ...], Merges]:
    """The 256 bytes with the runs that merges make, and the merges in their order; the same for equal texts.

    Arguments:
        texts: to learn from.
        many: symbols in all, at most; fewer where no pair occurs twice any more.

    Raises MissingExtra without the package `tokenizers`, UsageError for a number of symbols that cannot be.
    """
    many = MANY if many is None else many
    if not len(BYTES) < many <= MOST:
        raise UsageError(f"bpe{many}: from {len(BYTES) + 1} to {MOST:,} symbols, the 256 bytes among them")
    library = _library()
    there = _to_bytes(library)
    machine = _machine(library, library.models.BPE())
    trainer = library.trainers.BpeTrainer(
        vocab_size=many,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
    )
    machine.train_from_iterator((text for text in texts if parted(text, "bytes")), trainer)
    found = json.loads(machine.to_str())["model"]["merges"]
    merges = tuple((a.translate(there), b.translate(there)) for a, b in found)
    return tuple(dict.fromkeys([*BYTES, *(a + b for a, b in merges)])), merges


def merged(symbols: Sequence[str], merges: Merges) -> Parted:
    """What parts a text into these symbols; MissingExtra without the package `tokenizers`."""
    library = _library()
    there = _to_bytes(library)
    back = {ord(byte): chr(code) for code, byte in there.items()}
    own = [symbol.translate(back) for symbol in symbols]
    pairs = [(a.translate(back), b.translate(back)) for a, b in merges]
    model = library.models.BPE({symbol: i for i, symbol in enumerate(own)}, pairs)
    machine = _machine(library, model)

    def part(text: str) -> list[str]:
        # the rules for what is no text and for what is empty are those of bytes
        return [symbols[i] for i in machine.encode(text).ids] if parted(text, "bytes") else []

    return part


def _machine(library: Any, model: Any) -> Any:
    machine = library.Tokenizer(model)
    machine.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return machine


def _to_bytes(library: Any) -> dict[int, str]:
    """The library's characters for bytes, by code, as Latin-1: most are themselves, the rest in order."""
    alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
    plain = [character for character in alphabet if character in BYTES]
    others = [byte for byte in BYTES if byte not in plain]
    return dict(zip(map(ord, alphabet), [*plain, *others], strict=True))


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtra("tokenizers", "bpe") from None
    return tokenizers

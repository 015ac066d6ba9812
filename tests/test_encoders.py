"""Conditions that a frozen encoder reads: kept rows, pinned versions, runs that load without it."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from ectype.assembly import conditioner_for
from ectype.data import embedding
from ectype.data.fitted import read_with
from ectype.data.reading import read, reread
from ectype.errors import DataError, MissingExtra, ModelFileError, UsageError
from ectype.jobs.inputs import context_of
from ectype.jobs.sample import sample
from ectype.jobs.train import train
from ectype.kinds import encoders, restored, state_of
from ectype.kinds.embedded import Embedded
from ectype.kinds.encoders import Encoder
from ectype.kinds.image import Image
from ectype.kinds.vector import Vector
from ectype.runs import load

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "green", "circle", "square"]
CAPTIONS = ["a red circle", "a green square", "a red square", "a green circle"]
N = 40


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECTYPE_CACHE", str(tmp_path / "cache"))
    encoders._opened.cache_clear()


@pytest.fixture
def read_by() -> list[list[Any]]:
    """What the stand-in for an encoder was shown, call by call."""
    return []


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_by: list[list[Any]]) -> Path:
    """A folder that passes for an encoder: a text's length and vowels, a picture's mean and width."""

    def opened(encoder: Encoder) -> Callable[[list[Any]], Tensor]:
        def rows(items: list[Any]) -> Tensor:
            read_by.append(items)
            if encoder.reads == "image":
                return torch.tensor([[float(np.asarray(item).mean()), item.width] for item in items])
            return torch.tensor([[float(len(t)), sum(c in "aeiou" for c in t)] for t in items])

        return rows

    monkeypatch.setattr(encoders, "_opened", opened)
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("{}")
    return tmp_path / "encoder"


def items(root: Path) -> Path:
    """Pictures with captions, outlines of another size, ages, and one caption missing."""
    rows = []
    for i in range(N):
        level = np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)
        (root / "in" / "outline").mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(level).save(root / "in" / f"p{i:02d}.png")
        Pillow.fromarray(255 - level).resize((6, 4)).save(root / "in" / "outline" / f"p{i:02d}.png")
        rows.append({"file": f"p{i:02d}.png", "caption": CAPTIONS[i % 4] if i else None, "age": i + 0.5})
    (root / "in" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root / "in" / "items.jsonl"


def test_texts_and_pictures_are_read_once_and_kept(
    tmp_path: Path, stand_in: Path, read_by: list[list[Any]]
) -> None:
    table = items(tmp_path)
    asked: dict[str, Any] = {
        "given": "caption:text,outline/",
        "encoder": f"caption={stand_in},outline={stand_in}",
    }
    data = read(table, **asked)
    assert [len(shown) for shown in read_by] == [len(CAPTIONS), N], "each different item once"
    texts, pictures = data.given["caption"], data.given["outline"]
    assert isinstance(texts.kind, Embedded) and isinstance(pictures.kind, Embedded)
    assert texts.present.tolist() == [False] + [True] * (N - 1)
    assert any("1 of 40 items have no caption" in note for note in data.notes)
    at = torch.tensor([1, 2, 3])
    x = texts.of(at, torch.zeros(3, 1, 8, 8), None)
    said = torch.tensor([[14.0, 6.0], [12.0, 5.0], [14.0, 5.0]])
    assert torch.allclose(x, texts.kind.numbers.tensor(said)), "standardised rows of the captions"
    assert texts.kind.unpack(texts.stored[2].numpy()) == "a red square"
    shown = pictures.kind.unpack(pictures.stored[1].numpy())
    assert shown.size == (6, 4)
    assert np.array_equal(pictures.kind.pack(shown), pictures.stored[1].numpy())
    assert np.array_equal(texts.kind.pack("a red square"), texts.stored[2].numpy())
    read_by.clear()
    again = reread(json.loads(json.dumps(data.source)))
    assert read_by == [], "a second reading computes nothing"
    assert torch.equal(again.given["caption"].stored, texts.stored)
    own = read_with(str(table), data.kind, conditions=data.conditions, trained=data.source)
    assert torch.equal(own.given["outline"].stored, pictures.stored)


def test_a_cache_that_cannot_be_read_costs_time_only(
    tmp_path: Path, stand_in: Path, read_by: list[list[Any]]
) -> None:
    table = items(tmp_path)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / embedding.CACHE).write_bytes(b"no database" * 100)
    first = read(table, given="caption:text", encoder=f"caption={stand_in}")
    second = read(table, given="caption:text", encoder=f"caption={stand_in}")
    assert len(read_by) == 2
    assert torch.equal(first.given["caption"].stored, second.given["caption"].stored)


def test_another_version_is_another_entry(tmp_path: Path, stand_in: Path, read_by: list[list[Any]]) -> None:
    table = items(tmp_path)
    first = read(table, given="caption:text", encoder=f"caption={stand_in}")
    (stand_in / "config.json").write_text('{"other": 1}')
    second = read(table, given="caption:text", encoder=f"caption={stand_in}")
    kinds = [data.conditions["caption"].state()["revision"] for data in (first, second)]
    assert kinds[0] != kinds[1]
    assert len(read_by) == 2
    with sqlite3.connect(tmp_path / "cache" / embedding.CACHE) as cache:
        assert cache.execute("SELECT count(*) FROM rows").fetchone() == (2 * len(CAPTIONS),)
    cache.close()


def test_what_no_encoder_reads_is_refused(tmp_path: Path, stand_in: Path) -> None:
    table = items(tmp_path)
    for given, encoder, message in [
        ("caption:text", "captoin=x/y", r"'captoin' is not given; did you mean 'caption'\?"),
        ("caption:text", "x/y", r"say what it reads, such as caption=x/y"),
        ("caption:text", "caption=", r"say what it reads"),
        ("age", f"age={stand_in}", r"reads texts and pictures .* 'age' is of kind vector"),
        ("grey", f"grey={stand_in}", r"'grey' is made from them"),
        ("caption:text", f"caption={stand_in},caption=x/y", r"'caption' has an encoder already"),
        ("caption:text", "caption=no/such/folder", r"there is no folder no/such/folder"),
    ]:
        with pytest.raises(UsageError, match=message):
            read(table, given=given, encoder=encoder)
    kind = Embedded(Encoder("o/n", "1", "text"), Vector([0.0, 0.0], [1.0, 1.0]), None, room=8)
    with pytest.raises(DataError, match="the text is empty"):
        kind.pack(" ")
    with pytest.raises(DataError, match="3 is no text"):
        kind.pack(3)
    with pytest.raises(DataError, match="rows of 3 numbers, not 2"):
        kind.beside(np.zeros((1, 3), np.float32), ["a"])


def test_state_is_json_and_a_damaged_one_is_refused() -> None:
    numbers = Vector([0.0, 1.0], [1.0, 2.0])
    for kind in (
        Embedded(Encoder("o/n", "1", "text"), numbers, None, room=8),
        Embedded(Encoder("o/n", "1", "image"), numbers, Image(1, (4, 6))),
    ):
        again = restored(json.loads(json.dumps(state_of(kind))))
        assert again.state() == kind.state()
        x = torch.randn(3, 2)
        assert torch.allclose(again.tensor(torch.from_numpy(kind.stored(x))), x, atol=1e-6)
        for name in kind.state():
            with pytest.raises(ModelFileError, match="embedded kind"):
                Embedded.restore({k: v for k, v in kind.state().items() if k != name})
        with pytest.raises(ModelFileError, match="embedded kind"):
            Embedded.restore({**kind.state(), "reads": "audio"})
    assert not kind.unpack(kind.stored(x)[0]).getbbox(), "numbers alone say nothing about the picture"


def test_free_texts_are_blurred_for_a_generator() -> None:
    kind = Embedded(Encoder("o/n", "1", "text"), Vector([0.0, 0.0], [1.0, 1.0]), None)
    conditioner = conditioner_for(Image(1, (8, 8)), {"caption": kind}, smooth=True)
    assert conditioner is not None and conditioner.smoothing is not None


def trained(tmp_path: Path, encoder: Path) -> Path:
    train(
        str(items(tmp_path)),
        given=["caption:text"],
        out=tmp_path / "run",
        network="mlp",
        steps=4,
        encoder=f"caption={encoder}",
    )
    return tmp_path / "run"


def test_a_run_says_its_encoder_and_loads_without_it(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained(tmp_path, stand_in)
    assert "a green square" in (folder / "report.html").read_text()
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "transformers", None)
    run = load(folder)
    state = run.conditions["caption"].state()
    assert (state["encoder"], len(state["revision"])) == (str(stand_in), 16)
    assert len(sample(run, 2, seed=0)) == 2, "nothing given needs no encoder"
    with pytest.raises(MissingExtra, match=r"this needs transformers: pip install 'ectype\[encoders\]'"):
        sample(run, 2, given={"caption": "a red cat"})


@pytest.fixture
def tiny(tmp_path: Path) -> dict[str, Path]:
    """Folders of a BERT, a ViT and a CLIP with random weights, as `save_pretrained` writes them."""
    hf = pytest.importorskip("transformers", reason="the extra 'encoders' is not installed")
    torch.manual_seed(1)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    words, places = {"vocab_size": 10, "max_position_embeddings": 12}, {"image_size": 16, "patch_size": 8}
    tokens = hf.BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)})
    picture = hf.ViTImageProcessorPil(size={"height": 16, "width": 16})
    five = {"vocab_size": 10, "d_model": 16, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    made = {
        "bert": (hf.BertModel(hf.BertConfig(**small, **words)), tokens),
        "vit": (hf.ViTModel(hf.ViTConfig(**small, **places)), picture),
        "t5": (
            hf.T5Model(hf.T5Config(**five)),
            tokens,
        ),
        "clip": (
            hf.CLIPModel(
                hf.CLIPConfig(
                    text_config=small | words | ends, vision_config=small | places, projection_dim=12
                )
            ),
            tokens,
            picture,
        ),
    }
    hf.utils.logging.disable_progress_bar()
    for name, parts in made.items():
        for part in parts:
            part.save_pretrained(tmp_path / name)
    return {name: tmp_path / name for name in made}


def test_rows_are_those_of_the_network(tiny: dict[str, Path]) -> None:
    hf = pytest.importorskip("transformers")
    encoder = Encoder.of(str(tiny["bert"]), "text")
    one, other = encoder(["a red circle", "a"]), encoder(["a red circle"])
    assert one.shape == (2, 16) and one.dtype == np.float32
    np.testing.assert_allclose(one[:1], other, atol=1e-6, err_msg="padding changes nothing")
    model = hf.AutoModel.from_pretrained(tiny["bert"]).eval()
    with torch.no_grad():
        states = model(torch.tensor([[2, 5, 6, 8, 3]])).last_hidden_state[0]
    np.testing.assert_allclose(other[0], states.mean(0), atol=1e-6)
    assert encoder(["a red circle " * 20]).shape == (1, 16), "a long text is cut to what it can read"
    pictures = [Pillow.new("L", (8, 8), 90), Pillow.new("RGB", (20, 30), "red")]
    cases: list[tuple[str, str, list[Any], int]] = [
        ("vit", "image", pictures, 16),
        ("clip", "image", pictures, 12),
        ("clip", "text", CAPTIONS, 12),
        ("t5", "text", CAPTIONS, 16),
    ]
    for name, reads, shown, width in cases:
        rows = Encoder.of(str(tiny[name]), reads)(shown)
        assert rows.shape == (len(shown), width)
        assert not np.allclose(rows[0], rows[1])


def test_a_run_is_trained_and_asked_by_text(tmp_path: Path, tiny: dict[str, Path]) -> None:
    run = load(trained(tmp_path, tiny["bert"]))
    red, again, green = (
        context_of(run, {"caption": text}, 1) for text in ("a red circle", "a red circle", "a green circle")
    )
    assert red is not None and again is not None and green is not None
    assert torch.equal(red.vector, again.vector)
    assert not torch.allclose(red.vector, green.vector)
    assert len(sample(run, 2, given={"caption": "a word that was never seen"})) == 2
    state = (tiny["bert"] / "config.json").read_text()
    (tiny["bert"] / "config.json").write_text(state + " ")
    encoders._opened.cache_clear()
    with pytest.raises(UsageError, match="holds another encoder than the model was trained with"):
        sample(run, 1, given={"caption": "a red circle"})


def test_what_is_wrong_with_an_encoder_is_one_line(
    tmp_path: Path, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, reads in [("bert", "image"), ("vit", "text")]:
        with pytest.raises(UsageError, match=rf"the encoder .*{name} cannot read {reads}s: [^\n]+$"):
            Encoder.of(str(tiny[name]), reads)([Pillow.new("L", (8, 8)) if reads == "image" else "a"])
    (tiny["bert"] / "model.safetensors").rename(tiny["bert"] / "pytorch_model.bin")
    with pytest.raises(UsageError, match="cannot read texts: .*safetensors"):
        Encoder.of(str(tiny["bert"]), "text")(["a"])
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="owner/name is not on this machine .*: go online once"):
        Encoder.of("owner/name", "text")


def test_the_hubs_commit_is_kept(
    tmp_path: Path, tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked = []
    commit = "0123456789abcdef0123456789abcdef01234567"
    (tiny["bert"]).rename(tmp_path / commit)

    def fetched(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        assert not any(pattern.endswith((".bin", ".py")) for pattern in allow_patterns)
        return str(tmp_path / commit)

    monkeypatch.setattr(hub, "snapshot_download", fetched)
    encoder = Encoder.of("owner/name", "text")
    assert str(encoder) == f"owner/name@{commit}"
    assert Encoder.of(str(encoder), "text") == encoder
    assert encoder(["a"]).shape == (1, 16)
    assert asked == [("owner/name", None), ("owner/name", commit)]

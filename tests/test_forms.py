"""A job's signature is its form: reading it, and turning words into arguments."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from ectype import catalog
from ectype.errors import EctypeError, UsageError
from ectype.jobs.signatures import arguments_of, signature, source_file, summary
from ectype.surfaces.forms import PARTS, Form, form, parse, reference
from ectype.surfaces.help import job_help
from ectype.surfaces.values import Wanted

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("annotation", "words", "value"),
    [
        ("int", ["20_000"], 20000),
        ("int | None", ["none"], None),
        ("float", ["1e-3"], 0.001),
        ("float", ["-2"], -2.0),
        ("bool", ["no"], False),
        ("bool | None", ["yes"], True),
        ("Path | None", ["a/b"], Path("a/b")),
        ("int | str | None", ["32"], 32),
        ("int | str | None", ["28x32"], "28x32"),
        ("str | int", ["7"], 7),
        ("tuple[int, ...]", ["1,2", "3"], (1, 2, 3)),
        ("Sequence[int]", ["128"], (128,)),
        ("tuple[int, int] | int", ["28,32"], (28, 32)),
        ("tuple[int, int] | int", ["28"], 28),
        ("str | Sequence[str] | None", ["label"], "label"),
        ("str | Sequence[str] | None", ["label,size"], ("label", "size")),
        ("Literal['a', 'b']", ["b"], "b"),
        ("Literal[1, 2]", ["2"], 2),
        ("Optional[int]", ["3"], 3),
        ("'int | None'", ["3"], 3),
        (
            "Mapping[str, str] | None",
            ["label=7", "colour=red,size=big"],
            {"label": "7", "colour": "red", "size": "big"},
        ),
        ("dict[str, float]", ["a=0.5"], {"a": 0.5}),
        ("Run | str | Path", ["runs/x"], "runs/x"),
        ("Run", ["runs/x"], "runs/x"),
        ("", ["anything"], "anything"),
    ],
)
def test_words_become_values(annotation, words, value):
    found = Wanted(annotation).value(words)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "words", "message"),
    [
        ("int", ["many"], "'many' is not a whole number"),
        ("int", ["4.5"], "'4.5' is not a whole number"),
        ("float", ["nan"], "'nan' is not a number"),
        ("float | None", ["x"], "'x' is not a number or none"),
        ("bool", ["maybe"], "'maybe' is not true or false"),
        ("int", ["1", "2"], "is given 2 times (1, 2); once is enough"),
        ("Literal['spherical', 'linear']", ["sperical"], "did you mean 'spherical'?"),
        ("tuple[int, int]", ["1,2,3"], "'1,2,3' is not 2 whole numbers with commas between them"),
        ("Sequence[int]", ["1,b"], "'1,b' is not whole numbers with commas between them"),
        ("Mapping[str, str]", ["seven"], "'seven' is not NAME=VALUE"),
        ("Mapping[str, int]", ["a=b"], "'a=b' is not NAME=VALUE"),
    ],
)
def test_wrong_words_say_what_was_expected(annotation, words, message):
    with pytest.raises(UsageError) as caught:
        Wanted(annotation).value(words)
    assert message in str(caught.value)


def test_arguments_of_a_docstring():
    text = """Summary.

    Arguments:
        first: one line.
        second, third: two lines
            that belong together: yes.

    Raises nothing.
    """
    assert arguments_of(inspect.cleandoc(text)) == {
        "first": "one line.",
        "second": "two lines that belong together: yes.",
        "third": "two lines that belong together: yes.",
    }


@pytest.mark.parametrize("job", [name for name in catalog.JOBS])
def test_what_is_read_from_source_is_what_python_sees(job):
    """The reading by ast agrees with inspect on the imported function, name by name."""
    found = signature(*catalog.location("jobs", job))
    real = inspect.signature(catalog.find("jobs", job)).parameters
    named = {n: p for n, p in real.items() if p.kind is not p.VAR_KEYWORD}
    assert [p.name for p in found.parameters] == list(named)
    assert [p.keyword for p in found.parameters] == [p.kind is p.KEYWORD_ONLY for p in named.values()]
    assert [p.default is None for p in found.parameters] == [p.default is p.empty for p in named.values()]
    assert found.open == (len(named) < len(real))


@pytest.mark.parametrize("job", [name for name in catalog.JOBS])
def test_every_field_has_help_and_a_default_that_fits(job):
    for field in form(job).fields.values():
        assert field.help, f"{job}: {field.name} has no line under Arguments"
        if field.default is not None:
            default = eval(field.default)  # noqa: S307 - a literal from our own source
            if isinstance(default, int | float | str) and not field.wanted.flag:
                assert field.wanted.value([str(default)]) == default


def test_train_takes_what_its_parts_take():
    fields = form("train").fields
    assert ("models", "vae") in fields["beta"].parts
    assert {("networks", "conv"), ("networks", "mlp")} <= set(fields["activation"].parts)
    assert ("training", "") in fields["minutes"].parts
    assert ("data", "") in fields["binarise"].parts
    assert ("critic", "") in fields["pack"].parts
    assert not {"context", "levels", "shape", "stop", "state"} & set(fields)


def test_parts_that_share_an_option_mean_the_same_values_by_it():
    seen: dict[str, tuple[str, object]] = {}
    for table in PARTS.values():
        for name in catalog.TABLES[table]:
            module, attribute = catalog.location(table, name)
            for each in [attribute] if attribute else ["Encoder", "Decoder"]:
                for p in signature(module, each).parameters:
                    if p.keyword and p.name != "context":  # wired: no user ever gives it
                        wanted = list(Wanted(p.annotation).members)
                        first = seen.setdefault(p.name, (f"{name} {each}", wanted))
                        assert first[1] == wanted, f"{p.name}: {first[0]} and {name} {each} differ"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["runs/x", "--count", "4", "--seed=7"], {"run": "runs/x", "count": 4, "seed": 7}),
        (["--seed", "7", "runs/x", "4"], {"run": "runs/x", "count": 4, "seed": 7}),
        (["--run", "runs/x", "4"], {"run": "runs/x", "count": 4}),
        (["runs/x", "--noise", "4"], {"run": "runs/x", "noise": True, "count": 4}),
        (["runs/x", "--no-noise"], {"run": "runs/x", "noise": False}),
        (["runs/x", "--noise=yes"], {"run": "runs/x", "noise": True}),
        (
            ["runs/x", "--given", "label=7", "--given", "a=b"],
            {"run": "runs/x", "given": {"label": "7", "a": "b"}},
        ),
        (["runs/x", "--temperature", "-1"], {"run": "runs/x", "temperature": -1.0}),
        (["--seed", "1", "--", "--odd"], {"run": "--odd", "seed": 1}),
    ],
)
def test_words_in_any_order(words, values):
    assert parse(form("sample"), words) == values


def test_underscore_and_dash_are_the_same():
    for spelling in ("--free-bits", "--free_bits"):
        assert parse(form("train"), ["digits", spelling, "0.1"])["free_bits"] == 0.1


def test_all_problems_at_once():
    words = ["runs/x", "4", "5", "--seeed", "1", "--temperature", "warm", "--out", "--given", "seven"]
    with pytest.raises(UsageError) as caught:
        parse(form("sample"), words)
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            "there is no option --seeed; did you mean --seed?",
            "--out needs a value: a path or none",
            "too many arguments: 5 (without a name it takes: RUN COUNT)",
            "--temperature: 'warm' is not a number",
            "--given: 'seven' is not NAME=VALUE or none",
        ]
    )


def test_a_missing_argument_is_named():
    with pytest.raises(UsageError, match="RUN is missing: a run's folder, or its model file"):
        parse(form("sample"), ["--count", "4"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--model", "vea"], "there is no model called 'vea'; did you mean 'vae'?"),
        (["digits", "--model", "ae", "--beta", "2"], "--beta belongs to vae, and this is ae"),
        (["digits", "--penalty", "2"], "--penalty belongs to ae, and this is vae"),
        (
            ["digits", "--network", "conv", "--hidden", "9"],
            "--hidden belongs to joint, mlp, and this is conv",
        ),
        (
            ["digits", "--prior", "normal", "--likelihood", "normal", "--components", "9"],
            "--components belongs to fitted, ",
        ),
    ],
)
def test_options_of_parts_that_were_not_chosen(words, message):
    with pytest.raises(UsageError) as caught:
        parse(form("train"), words)
    assert message in str(caught.value)


def test_an_option_of_a_part_that_may_be_chosen_later_is_kept():
    values = parse(form("train"), ["digits", "--hidden", "64,32", "--beta", "2"])
    assert values == {"source": "digits", "hidden": (64, 32), "beta": 2.0}


def test_a_foreign_part_is_one_file_and_one_line(tmp_path, monkeypatch):
    """A family that is added to the catalog is in the form, and its file is not run for it."""
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "wae.py").write_text(
        '"""A family from elsewhere."""\n'
        "raise RuntimeError('this file was imported')\n"
        "Power = float | None\n"
        "class WAE:\n"
        '    """Wasserstein autoencoder.\n\n    Arguments:\n        strength: of the penalty.\n    """\n\n'
        "    def __init__(self, encoder, *, strength: Power = 10.0) -> None: ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    location = catalog.location
    monkeypatch.setitem(catalog.MODELS, "wae", "foreign.wae:WAE")
    monkeypatch.setattr(
        catalog, "location", lambda t, n: ("foreign.wae", "WAE") if n == "wae" else location(t, n)
    )
    fields: Form = form("train")
    assert fields.fields["strength"].help == "of the penalty."
    assert parse(fields, ["digits", "--model", "wae", "--strength", "none"])["strength"] is None
    assert summary("foreign.wae", "WAE") == "Wasserstein autoencoder."


def test_a_catalog_line_that_leads_nowhere():
    with pytest.raises(EctypeError, match="names the module ectype.models.nothing"):
        source_file("ectype.models.nothing")
    with pytest.raises(EctypeError, match="names VEA in ectype.models.vae"):
        signature("ectype.models.vae", "VEA")


def test_the_reference_is_fresh():
    committed = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert committed == reference(), (
        "docs/cli.md is stale: python -c 'from ectype.surfaces.forms import reference; "
        'print(reference(), end="")\' > docs/cli.md'
    )


def test_a_family_that_wraps_another_takes_its_options():
    form_of_train = form("train")
    assert parse(form_of_train, ["digits", "--model", "vaegan", "--beta", "0.5"])["beta"] == 0.5
    assert parse(form_of_train, ["digits", "--model", "vaegan", "--around", "ae", "--corruption", "0.1"])
    with pytest.raises(UsageError, match="--beta belongs to vae"):
        parse(form_of_train, ["digits", "--model", "vaegan", "--around", "ae", "--beta", "0.5"])
    with pytest.raises(UsageError, match="--beta belongs to vae"):
        parse(form_of_train, ["digits", "--model", "gan", "--beta", "0.5"])


def test_defaults_that_differ_from_part_to_part_are_all_told():
    text = " ".join(job_help("train").split())
    assert "(default: 32; dcgan 64; sequence 64; transformer 128; causal 128)" in text
    assert "(default: relu; dcgan leaky and relu)" in text
    assert "(default: 128; mlp 512,512)" in text

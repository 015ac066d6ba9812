"""The public surface is exactly this list, and every name stays the object it first was."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

import ectype

PUBLIC = [
    "Batch",
    "Data",
    "EctypeError",
    "Run",
    "__version__",
    "build",
    "classify",
    "complete",
    "decode",
    "edit",
    "encode",
    "evaluate",
    "fit",
    "forecast",
    "impute",
    "inpaint",
    "interpolate",
    "invert",
    "load",
    "read",
    "reconstruct",
    "report",
    "sample",
    "train",
    "translate",
]


def test_the_public_list_is_exactly_this() -> None:
    assert sorted(ectype.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(ectype))


def test_no_submodule_can_take_a_public_name() -> None:
    submodules = {module.name for module in pkgutil.iter_modules(ectype.__path__)}
    assert submodules & set(PUBLIC) == set()


def test_each_name_is_the_same_object_before_and_after_everything_is_imported() -> None:
    first = {name: getattr(ectype, name) for name in PUBLIC}
    for module in pkgutil.walk_packages(ectype.__path__, "ectype."):
        if module.name != "ectype.__main__":
            import_module(module.name)
    for name in PUBLIC:
        assert getattr(ectype, name) is first[name], name


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.islower() and name != "__version__"])
def test_verbs_are_functions_named_as_the_catalog_has_them(name: str) -> None:
    value = getattr(ectype, name)
    assert callable(value)
    assert value.__name__ == name
    assert value.__doc__


def test_jobs_are_the_functions_of_the_catalog() -> None:
    from ectype.catalog import JOBS, find

    for name in set(JOBS) & set(PUBLIC):
        assert getattr(ectype, name) is find("jobs", name)
    assert set(JOBS) - set(PUBLIC) == {"list"}  # list() is Python's own


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ectype' has no attribute 'nonsense'"):
        ectype.nonsense  # noqa: B018

"""Every example in the docstrings of `pruners` runs and gives what it says; every public class has one."""

import doctest
import inspect

import pytest
import torch

import pruners
from evalsuite.parts.registry import find, names
from pruners import regularisers

pytestmark = pytest.mark.slow

PACKAGES = {"pruners": pruners, "pruners.regularisers": regularisers}
BASES = {"pruners": pruners.Pruner, "pruners.regularisers": regularisers.Regulariser}
CLASSES = [
    (package, name)
    for package, module in PACKAGES.items()
    for name in module.__all__
    if inspect.isclass(getattr(module, name))
]
FINDER = doctest.DocTestFinder(recurse=False)


def run(test):
    failures = []
    with torch.random.fork_rng():
        doctest.DocTestRunner(verbose=False).run(test, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)
    assert test.examples


@pytest.fixture(scope="module")
def shown():
    """What the package's own docstring, with which all others go on, leaves behind."""
    (test,) = FINDER.find(pruners, "pruners")
    run(test)
    return test.globs


@pytest.mark.parametrize(("package", "name"), CLASSES)
def test_the_example_of_a_class_runs(package, name, shown):
    (test,) = FINDER.find(getattr(PACKAGES[package], name), name, globs=dict(shown))
    assert any(example.want for example in test.examples) or name == "Hook"
    # readers copy it: short, and nothing but the class's own set-up
    assert len(test.examples) <= 5
    run(test)


def test_the_example_of_penalties_runs(shown):
    (test,) = FINDER.find(regularisers, "pruners.regularisers", globs=dict(shown))
    run(test)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_method_is_public(package):
    for name in names(package):
        method = find(package, name, BASES[package])
        assert getattr(PACKAGES[package], method.__name__) is method
        assert (package, method.__name__) in CLASSES


@pytest.mark.parametrize("package", PACKAGES.values())
def test_the_list_is_whole(package):
    public = {name for name, value in vars(package).items() if not (name.startswith("_") or inspect.ismodule(value))}
    assert set(package.__all__) == public

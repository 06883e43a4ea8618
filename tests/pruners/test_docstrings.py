"""Every example in the docstrings of `pruners` runs and gives what it says; every public class has one."""

import doctest
import inspect

import pytest
import torch

import pruners
from evalsuite.parts.registry import find, names

CLASSES = [name for name in pruners.__all__ if inspect.isclass(getattr(pruners, name)) and name != "Scores"]
FINDER = doctest.DocTestFinder(recurse=False)


@pytest.fixture(scope="module")
def shown():
    """What the package's own docstring, with which all others go on, leaves behind."""
    (test,) = FINDER.find(pruners, "pruners")
    with torch.random.fork_rng():
        run(test)
    return test.globs


def run(test):
    failures = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=failures.append, clear_globs=False)
    assert not failures, "".join(failures)
    assert test.examples


@pytest.mark.parametrize("name", CLASSES)
def test_the_example_of_a_class_runs(name, shown):
    (test,) = FINDER.find(getattr(pruners, name), name, globs=dict(shown))
    assert any(example.want for example in test.examples) or name == "Hook"
    # readers copy it: short, and nothing but the class's own set-up
    assert len(test.examples) <= 5
    with torch.random.fork_rng():
        run(test)


def test_every_method_is_public():
    for name in names("pruners"):
        method = find("pruners", name, pruners.Pruner)
        assert getattr(pruners, method.__name__) is method
        assert method.__name__ in CLASSES


def test_the_list_is_whole():
    public = {name for name, value in vars(pruners).items() if not (name.startswith("_") or inspect.ismodule(value))}
    assert set(pruners.__all__) == public

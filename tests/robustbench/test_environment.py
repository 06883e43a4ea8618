"""The environment holds what robustbench declares, and takes what is large from the one beside it."""

import sysconfig
from importlib.metadata import distribution, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.robustbench


def test_all_that_it_declares_is_there_in_the_right_version() -> None:
    open_ones, done = [Requirement("robustbench")], set()
    while open_ones:
        needed = open_ones.pop()
        assert needed.specifier.contains(version(needed.name), prereleases=True), needed
        done.add(canonicalize_name(needed.name))
        extras = needed.extras or {""}
        inner = [Requirement(text) for text in requires(needed.name) or ()]
        met = [one for one in inner if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)]
        open_ones += [one for one in met if one.extras or canonicalize_name(one.name) not in done]
    assert done >= {"timm", "gdown", "torch", "pandas", "pysocks"}


def test_what_is_large_is_shared() -> None:
    here = Path(sysconfig.get_path("purelib"))
    for name in ("robustbench", "timm", "setuptools"):
        assert here in Path(str(distribution(name).locate_file(""))).parents or here == distribution(name).locate_file(
            ""
        )
    for name in ("torch", "torchvision", "numpy", "pyautoattack"):
        assert Path(str(distribution(name).locate_file(""))) != here
    assert version("timm") == "1.0.9"
    # robustbench's own package of this name would come before our folder
    assert not (here / "tests").exists()

"""The folder is the registry."""

import subprocess
import sys

import pytest

from evalsuite.errors import UnknownNameError
from evalsuite.registry import find, names
from evalsuite.tasks._base import Task


def test_names_are_files():
    assert {"clean", "noise", "corruption", "adversarial", "certified"} <= set(names("evalsuite.tasks"))
    assert not any(name.startswith("_") for name in names("evalsuite.tasks"))


def test_nearest_names_are_told():
    with pytest.raises(UnknownNameError, match="'corruption'") as error:
        find("evalsuite.tasks", "corrupton", Task)
    assert "Did you mean" in str(error.value)
    assert "adversarial" in str(error.value)


def test_listing_imports_no_torch():
    code = "import sys; from evalsuite.registry import names; names('evalsuite.tasks'); names('pruners')\n"
    code += "assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)

"""What takes seconds to import is not imported before it is needed."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_a_run_needs_no_library_of_other_networks():
    """torchvision, timm and torch-pruning bring torch's compiler: more than torch itself takes."""
    code = (
        "import sys, pruners, evalsuite.pipeline, evalsuite.config.build_inputs\n"
        "late = {'torchvision', 'timm', 'torch_pruning', 'torch._dynamo', 'sklearn', 'pandas', 'onnxruntime'}\n"
        "assert not late & sys.modules.keys(), late & sys.modules.keys()"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr

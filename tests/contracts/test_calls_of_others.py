"""Others' code is called where the boundary stands around it, and nowhere else.

`evalsuite.process.third_party_code` turns what a network, a factory, a plug-in or a library raises into one line that
names it. A call outside of a boundary would end a run in a riddle, so that every file that calls others' code stands
in a list here, with where its boundary is. `tests/cli/test_others_code.py` follows the calls of networks through the
commands.
"""

import ast
from pathlib import Path

import pytest

import evalsuite

pytestmark = pytest.mark.slow

ROOT = Path(evalsuite.__file__).parent
NETWORKS = {"network", "net", "model", "student", "parent", "teacher", "bare", "measured", "shipped", "program"}
"""Names by which networks go in this package; attributes of these names too, with an underscore or without."""

BUILDERS = {"create_model", "get_model", "load_model", "InferenceSession"}
"""Functions of libraries that make a network."""

_ENGINE = "called by the engine, which stands in a boundary at every shard (engines/local.py)"
_TRAINING = (
    "called in training, inside `refusing` (pruning/retraining.py, pruning/train_parent.py) or of preview/estimates.py"
)
_READING = "called while inputs are read, inside boundaries of inputs/read.py and config/build_inputs.py"
_FAMILY = "called by pruning/family.py, which stands in a boundary at every network"
ALLOWED = {
    "attacks/": _ENGINE,
    "tasks/": _ENGINE,
    "training/": _TRAINING,
    "networks/normalized.py": "the one place at which a network is called by all others",
    "networks/programs/program.py": f"the file that it runs is a network; {_READING}, and by the engine",
    "networks/answers.py": "called by inputs/unchanged.py, in a boundary",
    "networks/costs/latency.py": "called by pruning/timing.py and pruning/family.py, in boundaries",
    "networks/costs/memory.py": _FAMILY,
    "networks/repeatable.py": "called by pipeline.py and inputs/understanding.py, in boundaries",
    "networks/checkpoints/_load_tensors.py": _READING,
    "networks/programs/_onnx.py": _READING,
    "networks/programs/_onnx_cost.py": _READING,
    "networks/programs/_symbolic.py": "functions of numbers that evalsuite itself names",
    "networks/architectures/_timm.py": _READING,
    "networks/architectures/_torchvision.py": _READING,
    "networks/architectures/_robustbench.py": _READING,
    "networks/checkpoints/_upgrade.py": _READING,
    "networks/architectures/_factory.py": "inside `users_code`",
    "data/__init__.py": "imports evalsuite's own modules",
    "data/_source.py": "imports the readers of evalsuite's own sources",
    "data/_factory.py": "inside `users_code`",
    "parts/importing.py": "inside `users_code`",
    "parts/registry.py": "entry points inside `users_code`; the other modules are evalsuite's own",
    "records/store.py": "looks networks up",
    "inputs/standard.py": "called by inputs/understanding.py, in a boundary",
    "evaluation/equivalence.py": "in a boundary",
    "preview/estimates.py": "in boundaries",
    "__init__.py": "imports evalsuite's own modules",
    "cli/__init__.py": "imports evalsuite's own commands",
    "cli/_parts.py": "imports evalsuite's own parts",
}


def called_by(tree):
    """(line, what) of every call of others' code."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        of_module = called.value if isinstance(called, ast.Attribute) else None
        # store.network(address) looks a network up
        looks_up = isinstance(of_module, ast.Name | ast.Attribute) and _ends(of_module) in {"store", "index", "results"}
        is_network = name.strip("_") in NETWORKS and not looks_up and not _is_import(called)
        if (
            (
                is_network
                and not (isinstance(of_module, ast.Name) and of_module.id not in {"self", "checkpoint", "member"})
            )
            or name in {"forward", "backward", "import_module"} | BUILDERS
            or (name == "grad" and "autograd" in ast.unparse(called))
        ):
            yield node.lineno, f"{ast.unparse(called)}(...)"
        elif name == "load" and not node.args and "entr" in ast.unparse(called):
            yield node.lineno, f"{ast.unparse(called)}()"
        elif name in {"factory", "function"} and isinstance(called, ast.Name):
            yield node.lineno, f"{name}(...)"


def _ends(node):
    return (node.id if isinstance(node, ast.Name) else node.attr).strip("_")


def _is_import(called):
    # functions of that name are evalsuite's own: `_parent(ckpt, ...)` reads one
    return isinstance(called, ast.Name) and called.id.startswith("_")


def calls():
    for path in sorted(ROOT.rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        for line, what in called_by(ast.parse(path.read_text(encoding="utf-8"))):
            yield file, line, what


def allowed(file):
    return next((entry for entry in ALLOWED if file == entry or (entry.endswith("/") and file.startswith(entry))), None)


def test_others_code_is_called_inside_the_boundary():
    bare = [f"evalsuite/{file}:{line}: {what}" for file, line, what in calls() if allowed(file) is None]
    assert not bare, (
        "others' code is called outside of the files in which that is known to happen inside a boundary: put the call "
        "(or the stage that leads to it) inside `evalsuite.process.third_party_code.others_code(doing, networks=...)`, "
        "then add the file to ALLOWED with where its boundary stands:\n" + "\n".join(bare)
    )


def test_every_entry_of_the_list_is_needed():
    used = {allowed(file) for file, _, _ in calls()}
    assert set(ALLOWED) == used - {None}


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("y = network(x)", True),
        ("y = self._network(x)", True),
        ("y = member.network(x)", True),
        ("y = checkpoint.network.forward(x)", True),
        ("loss.backward()", True),
        ("torch.autograd.grad(a, b)", True),
        ("entry.load()", True),
        ("import_module(name)", True),
        ("timm.create_model(name)", True),
        ("facts = store.network(address)", False),
        ("facts = self._store.network(address)", False),
        ("parent = _parent(path)", False),
        ("tensor.copy(x)", False),
        ("json.load(file)", False),
    ],
)
def test_what_counts_as_such_a_call(source, result):
    assert bool(list(called_by(ast.parse(source)))) is result

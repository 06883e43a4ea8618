"""Progress in notebooks: lines that are updated in place, and silence everywhere else."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from torch import nn

import evalsuite
from evalsuite.notebook import notebook_reporter


class Handle:
    """What IPython's display gives back: shows something else in the same place."""

    def __init__(self, shown):
        self.shown = [shown]

    def update(self, data, *, raw):
        assert raw
        self.shown.append(data["text/plain"])


@pytest.fixture
def displays(monkeypatch):
    """What a pretended notebook shows, display by display."""
    handles = []

    def display(data, *, raw, display_id):
        assert raw
        assert display_id is True
        handles.append(Handle(data["text/plain"]))
        return handles[-1]

    ipython = ModuleType("IPython")
    ipython.version_info = (9, 0)  # matplotlib asks for it
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    ipython.display = SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    return handles


def swept(out, **more):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return evalsuite.sweep(
        network, "digits", out=out, ratios=[0.5], tasks="clean", examples=20, accept_parent=True, **more
    )


def test_a_sweep_in_a_notebook_updates_one_display(displays, tmp_path, capfd):
    swept(tmp_path / "run")
    (handle,) = displays
    last = handle.shown[-1].splitlines()
    assert any(line.startswith("Evaluating done in") for line in last)
    assert any(line.strip().startswith("normalisation") for line in last)  # what is assumed is told there as elsewhere
    assert len(handle.shown) < 40 + 2 * len(last)
    assert capfd.readouterr() == ("", "")


def test_a_reporter_that_is_given_hears_instead(displays, tmp_path):
    from evalsuite.progress import Silent

    swept(tmp_path / "run", reporter=Silent())
    assert displays == []


@pytest.mark.parametrize("shell", [None, SimpleNamespace(), SimpleNamespace(kernel=None)])
def test_elsewhere_nothing_is_shown(displays, shell, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    assert notebook_reporter() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert notebook_reporter() is None
    assert "IPython" not in sys.modules
    swept(tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    assert displays == []


def test_lines_stand_on_one_line_each(displays):
    reporter = notebook_reporter()
    reporter.say("a\nb\x1b[31m")
    reporter.start("Pruning", 2.0)
    reporter.work_on("magnitude-0-0.5")
    reporter.enter_epoch(1, 2)
    reporter.skip(1.0, "before")
    reporter.advance(1.0, "done", examples=3)
    reporter.finish()
    (handle,) = displays
    assert handle.shown[0] == r"a\nb\x1b[31m"
    assert handle.shown[1].splitlines()[1].startswith("Pruning 0%")
    assert handle.shown[-1].splitlines()[1].startswith("Pruning done in 0 s")

"""The Python interface on the device, with a network that only the user's Python can build."""

from copy import deepcopy

import evalsuite
from evalsuite.training import named
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude


def test_a_network_of_ones_own_is_swept_and_gone_on_with(family, digits, device, tmp_path):
    network = deepcopy(family.networks[0]).requires_grad_()
    settings = {
        "pruner": [Magnitude(), FilterNorm()],
        "ratios": [0.3, 0.6],
        "tasks": ["clean", "corruption/fog/3", "adversarial/linf/0.02?attack=pgd"],
        "retrain": named("standard?epochs=1", architecture="", data="digits"),
        "device": str(device),
    }
    options = {"examples": 40, "margin": 0.3}
    first = evalsuite.sweep(network, digits, out=tmp_path / "run", **options, **settings)
    # the caller's network stays where it is
    assert all(parameter.device.type == "cpu" for parameter in network.parameters())
    assert first.summary["complete"]
    again = evalsuite.sweep(network, digits, out=tmp_path / "run", **options, **settings)
    assert again.summary["cells"] == first.summary["cells"]
    more = evalsuite.sweep(network, digits, out=tmp_path / "run", **{**options, "examples": 60}, amend=True, **settings)
    assert {cell["n"] for cell in more.summary["cells"]} == {60}

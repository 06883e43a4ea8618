"""Exported networks: programs of torch.export and ONNX files."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fuzz.mutations.archives import zip_members
from fuzz.mutations.documents import json_tree
from fuzz.mutations.protobuf import fields
from fuzz.target import Target

_SHAPE: Final = (1, 4, 4)
_CLASSES: Final = ("cat", "dog", "owl")


def _programs(_: Path) -> Sequence[bytes]:
    import torch

    from evalsuite.networks.architectures.by_name import build

    class Convolved(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 2, 3)
            self.norm = torch.nn.BatchNorm2d(2)
            self.out = torch.nn.Linear(2, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.out(torch.relu(self.norm(self.conv(images))).mean((2, 3)))  # type: ignore[no-any-return]

    torch.manual_seed(0)  # noqa: TID251 - a process of its own
    networks = [build("mlp?depth=1&width=3", classes=3, channels=1, image_size=4), Convolved()]
    saved = []
    for network in networks:
        buffer = io.BytesIO()
        shapes = ({0: torch.export.Dim.DYNAMIC},)
        torch.export.save(torch.export.export(network.eval(), (torch.rand(2, *_SHAPE),), dynamic_shapes=shapes), buffer)
        saved.append(buffer.getvalue())
    return saved


def _models(_: Path) -> Sequence[bytes]:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *_SHAPE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    weights = {
        "kernel": random.normal(size=(2, 1, 3, 3)).astype(np.float32),
        "matrix": random.normal(size=(8, 3)).astype(np.float32),
        "bias": np.zeros(3, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["convolved"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["convolved"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["logits"]),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "network", [images], [logits], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return [model.SerializeToString()]


def _reader(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, folder: Path) -> object:
        from evalsuite.networks.programs.read import read_artefact

        path = folder / name
        path.write_bytes(data)
        return read_artefact(path, classes=_CLASSES, shape=_SHAPE)

    return read


TARGETS = (
    Target(
        name="pt2",
        honest=_programs,
        read=_reader("network.pt2"),
        mutations=(zip_members({".json": (json_tree, json_tree, json_tree)}),),
    ),
    Target(name="onnx", honest=_models, read=_reader("network.onnx"), mutations=(fields, fields)),
)

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build


def _as_timm(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Our names and separate projections in timm's spelling."""
    renamed = {
        "patch_embed.proj.weight": state["embed.weight"],
        "patch_embed.proj.bias": state["embed.bias"],
        "pos_embed": state["positions"],
    }
    pairs = (
        ("norm1", "norm1"),
        ("norm2", "norm2"),
        ("fc1", "mlp.fc1"),
        ("fc2", "mlp.fc2"),
        ("attention.project", "attn.proj"),
    )
    for kind in ("weight", "bias"):
        renamed |= {f"{name}.{kind}": state[f"{name}.{kind}"] for name in ("norm", "head")}
        for i in range(blocks):
            qkv = [state[f"blocks.{i}.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            renamed[f"blocks.{i}.attn.qkv.{kind}"] = torch.cat(qkv)
            renamed |= {f"blocks.{i}.{theirs}.{kind}": state[f"blocks.{i}.{ours}.{kind}"] for ours, theirs in pairs}
    return renamed


def test_is_timms_vision_transformer(trained: Callable[..., nn.Module], images: Callable[..., Tensor]) -> None:
    transformer = pytest.importorskip("timm.models.vision_transformer")
    network = trained("vit_small?depth=2")
    reference = transformer.VisionTransformer(
        img_size=32, patch_size=4, num_classes=10, embed_dim=192, depth=2, num_heads=6, mlp_ratio=2,
        class_token=False, global_pool="avg", fc_norm=False,
    ).eval()  # fmt: skip
    reference.load_state_dict(_as_timm(network.state_dict(), 2))
    # torch's LayerNorm default, where timm takes 1e-6
    for module in reference.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-5
    x = images()
    torch.testing.assert_close(network(x), reference(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "side", "parameters"),
    [
        # a block: 4 * 192 for norms, 4 * 192 * 193 for attention, 192 * 385 + 384 * 192 + 384 ... = 297 024
        # 6 blocks + embedding 192 (16 c + 1) + 192 per token + norm 384 + head 1930
        (3, 32, 6 * 297024 + 192 * 49 + 192 * 64 + 384 + 1930),
        (1, 28, 6 * 297024 + 192 * 17 + 192 * 49 + 384 + 1930),
    ],
)
def test_counts_by_hand(channels: int, side: int, parameters: int) -> None:
    network = build("vit_small", classes=10, channels=channels, image_size=side)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(torch.rand(1, channels, side, side)).shape == (1, 10)


def test_second_derivatives_exist(images: Callable[..., Tensor]) -> None:
    network = build("vit_small?depth=1", classes=10, channels=3, image_size=32)
    x = images(1).requires_grad_()
    (first,) = torch.autograd.grad(network(x)[0, 0], x, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), x)
    assert second.isfinite().all()
    assert second.abs().sum() > 0


@pytest.mark.parametrize("arch", ["vit_small?patch=5", "vit_small?heads=5", "vit_small?depth=0"])
def test_what_does_not_divide_is_refused(arch: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        build(arch, classes=10, channels=3, image_size=32)

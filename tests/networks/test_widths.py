"""Channel-pruned networks, made by torch-pruning, saved as nothing but a state dict."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch_pruning
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.checkpoints._widths import narrow
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, restore, write
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized

pytestmark = pytest.mark.slow

Make = Callable[..., nn.Module]
Draw = Callable[..., Tensor]


def _last_linear(network: nn.Module) -> nn.Module:
    return [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)][-1]


def _prune(network: nn.Module, x: Tensor, ratio: float, **more: object) -> nn.Module:
    """Torch-pruning's own pruner, every layer but the classifier, random channels."""
    smaller = copy.deepcopy(network)
    layers = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm, nn.MultiheadAttention)
    loose = [p for m in smaller.modules() if not isinstance(m, layers) for p in m.parameters(recurse=False)]
    # position embeddings (1, tokens, d) and layer scales (c, 1, 1)
    unwrapped = [(p, p.ndim - 1 if p.shape[-1] > 1 else 0) for p in loose]
    torch_pruning.pruner.BasePruner(
        smaller, x, importance=torch_pruning.importance.MagnitudeImportance(p=1), pruning_ratio=ratio,
        unwrapped_parameters=unwrapped, ignored_layers=[_last_linear(smaller)], **more,
    ).step()  # fmt: skip
    assert sum(p.numel() for p in smaller.parameters()) < 0.95 * sum(p.numel() for p in network.parameters())
    return smaller.eval()


@pytest.mark.parametrize(
    ("arch", "side"),
    [
        ("lenet5", 28),
        ("resnet8", 32),
        ("resnet20", 32),
        ("vgg16_bn?depth=11", 28),
        ("densenet22", 32),
        ("wrn16_8?width=1", 32),
        ("torchvision:resnet18", 64),
        ("torchvision:mobilenet_v2", 32),  # depthwise
        ("torchvision:mobilenet_v3_small", 32),  # squeeze and excitation
        ("timm:convnext_atto", 32),  # layer norm, layer scale
        ("timm:regnetx_002", 32),  # grouped
        ("timm:resnet10t", 32),
        ("timm:mobilenetv3_small_050", 32),
    ],
)
def test_widths_are_read_off(tmp_path: Path, trained: Make, images: Draw, arch: str, side: int) -> None:
    if arch.startswith("timm"):
        pytest.importorskip("timm")
    full = trained(arch, image_size=side)
    x = images(2, 3, side)
    smaller = _prune(full, x, 0.4)
    torch.save(smaller.state_dict(), tmp_path / "a.pt")
    result = read(tmp_path / "a.pt", arch=arch, shape=(3, side, side), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert torch.equal(result.network(x), smaller(x))
    assert [str(m) for m in result.network.network.modules()] == [str(m) for m in smaller.modules()]


@pytest.mark.parametrize("arch", ["resnet8", "vit_small?depth=2", "torchvision:mobilenet_v2"])
def test_our_own_files_bring_back_the_same_network(tmp_path: Path, trained: Make, images: Draw, arch: str) -> None:
    full = trained(arch, image_size=32)
    smaller = Normalized(_prune(full, images(), 0.5), (0.5,) * 3, (0.2,) * 3).eval()
    checkpoint = Checkpoint(network=smaller, arch=arch, class_count=10, shape=(3, 32, 32))
    write(tmp_path / "a", checkpoint)
    outcome = read(tmp_path / "a")
    assert torch.equal(outcome.network(images()), smaller(images()))
    assert network_digest(outcome.network) == network_digest(smaller)
    again = restore(tmp_path / "a", Normalized(full, (0.0,) * 3, (1.0,) * 3))
    assert torch.equal(again(images()), smaller(images()))
    assert network_digest(again) == network_digest(smaller)


def _timm_vit(heads: int, width: int) -> tuple[nn.Module, nn.Module]:
    """A vision transformer of two blocks, and one whose attention was cut to `heads` heads of `width`."""
    timm = pytest.importorskip("timm")
    full = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=10, depth=2).eval()
    smaller = copy.deepcopy(full)
    for block in smaller.blocks:
        attention = block.attn
        kept = torch.arange(192).view(3, 64)[:heads, :width].flatten()
        rows = torch.cat([kept + 192 * part for part in range(3)])
        qkv, project = nn.Linear(192, len(rows)), nn.Linear(len(kept), 192)
        qkv.weight.data, qkv.bias.data = attention.qkv.weight.data[rows], attention.qkv.bias.data[rows]
        project.weight.data, project.bias.data = attention.proj.weight.data[:, kept], attention.proj.bias.data
        attention.qkv, attention.proj = qkv, project
        attention.num_heads, attention.head_dim, attention.attn_dim = heads, width, heads * width
    return full, smaller


@pytest.mark.parametrize(
    ("heads", "width", "setting"),
    [
        (2, 64, ""),  # 128 rows are not three heads of anything
        (3, 40, ""),  # 120 rows are no heads of 64
        (3, 64, ""),
        (1, 64, ""),
    ],
)
def test_attention_heads_where_shapes_tell(tmp_path: Path, images: Draw, heads: int, width: int, setting: str) -> None:
    _, smaller = _timm_vit(heads, width)
    torch.save(smaller.state_dict(), tmp_path / "a")
    arch = f"timm:vit_tiny_patch16_224?depth=2{setting}"
    actual = read(tmp_path / "a", arch=arch, shape=(3, 32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    torch.testing.assert_close(actual.network(images()), smaller(images()))


def test_attention_heads_where_shapes_leave_it_open(tmp_path: Path, trained: Make, images: Draw) -> None:
    # 6 heads of 32; 96 rows are 3 heads of 32 or 6 of 16
    full = trained("vit_small?depth=1", image_size=32)
    attention = copy.deepcopy(full).get_submodule("blocks.0.attention")
    state = full.state_dict()
    kept = torch.arange(192).view(6, 32)[:3].flatten()
    for part in ("query", "key", "value"):
        for kind in ("weight", "bias"):
            state[f"blocks.0.attention.{part}.{kind}"] = state[f"blocks.0.attention.{part}.{kind}"][kept]
    state["blocks.0.attention.project.weight"] = state["blocks.0.attention.project.weight"][:, kept]
    torch.save(state, tmp_path / "a")
    with pytest.raises(
        UsageError, match=r"'blocks\.0\.attention', got either 3 heads of 32 or 6 heads of 16.*pruned_heads"
    ):
        read(tmp_path / "a", arch="vit_small?depth=1", shape=(3, 32, 32))
    computed = read(tmp_path / "a", arch="vit_small?depth=1&pruned_heads=true", shape=(3, 32, 32))
    # removing heads is the same as muting what they send to the projection
    muted = copy.deepcopy(full)
    dropped = torch.arange(192).view(6, 32)[3:].flatten()
    muted.get_parameter("blocks.0.attention.project.weight").data[:, dropped] = 0
    torch.testing.assert_close(computed.network(images()), muted(images()))
    assert attention.num_heads == 6
    narrowed = read(tmp_path / "a", arch="vit_small?depth=1&pruned_heads=false", shape=(3, 32, 32)).network
    assert narrowed.get_submodule("network.blocks.0.attention").num_heads == 6
    with pytest.raises(UsageError, match="true or false, got 3"):
        read(tmp_path / "a", arch="vit_small?depth=1&pruned_heads=3", shape=(3, 32, 32))


def test_vit_cut_by_torch_pruning(tmp_path: Path, trained: Make, images: Draw) -> None:
    full = trained("vit_small?depth=2", image_size=32)
    smaller = _prune(full, images(), 0.5)
    torch.save(smaller.state_dict(), tmp_path / "a")
    result = read(tmp_path / "a", arch="vit_small?depth=2&pruned_heads=false", shape=(3, 32, 32))
    torch.testing.assert_close(result.network(images()), smaller(images()))


def test_multi_head_attention_of_torch() -> None:
    full = nn.Sequential(nn.Linear(8, 8), nn.MultiheadAttention(8, 2))
    shapes = {
        "0.weight": (4, 8), "0.bias": (4,), "1.in_proj_weight": (12, 4), "1.in_proj_bias": (12,),
        "1.out_proj.weight": (4, 4), "1.out_proj.bias": (4,),
    }  # fmt: skip
    result = narrow(full, shapes)
    assert not result.misshapen
    attention = result.network.get_submodule("1")
    assert (attention.embed_dim, attention.head_dim, attention.num_heads) == (4, 2, 2)
    x = torch.rand(3, 1, 4)
    assert attention(x, x, x)[0].shape == (3, 1, 4)


def test_torchvisions_vision_transformer(images: Draw) -> None:
    full = VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=5).eval()
    nn.init.normal_(full.heads.head.weight)
    smaller = _prune(full, images(), 0.5)
    smaller.hidden_dim = smaller.conv_proj.out_channels
    result = narrow(full, {name: tuple(tensor.shape) for name, tensor in smaller.state_dict().items()})
    assert not result.misshapen
    result.network.load_state_dict(smaller.state_dict())
    assert result.network.hidden_dim == 8
    torch.testing.assert_close(result.network(images()), smaller(images()))


def test_layers_one_by_one() -> None:
    cases: list[tuple[nn.Module, dict[str, tuple[int, ...]], Tensor]] = [
        (nn.Conv2d(8, 6, 3, groups=2), {"weight": (4, 3, 3, 3), "bias": (4,)}, torch.rand(1, 6, 5, 5)),
        (nn.Conv2d(8, 16, 3, groups=8), {"weight": (10, 1, 3, 3), "bias": (10,)}, torch.rand(1, 5, 5, 5)),
        (nn.ConvTranspose2d(6, 8, 2, groups=2), {"weight": (4, 3, 2, 2), "bias": (6,)}, torch.rand(1, 4, 5, 5)),
        (nn.Conv1d(4, 6, 3), {"weight": (5, 2, 3), "bias": (5,)}, torch.rand(1, 2, 7)),
        (nn.GroupNorm(2, 8), {"weight": (6,), "bias": (6,)}, torch.rand(1, 6, 3, 3)),
        (nn.LayerNorm(8), {"weight": (5,), "bias": (5,)}, torch.rand(2, 5)),
        (nn.PReLU(8), {"weight": (5,)}, torch.rand(2, 5)),
        (nn.InstanceNorm2d(8, affine=True), {"weight": (5,), "bias": (5,)}, torch.rand(1, 5, 3, 3)),
        (nn.BatchNorm2d(8, affine=False), {"running_mean": (5,), "running_var": (5,)}, torch.rand(2, 5, 3, 3)),
    ]
    for layer, shapes, x in cases:
        before = network_digest(layer)
        result = narrow(layer, shapes)
        assert not result.misshapen
        assert result.changed == tuple(shapes)
        result.network.eval()(x)
        # rebuilt from its own words, it is the same layer
        assert {k: tuple(v.shape) for k, v in result.network.state_dict().items() if k in shapes} == shapes
        assert network_digest(layer) == before


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (nn.Conv2d(4, 4, 3), {"weight": (4, 4, 1, 1)}),  # another kernel
        (nn.Conv2d(4, 4, 3), {"weight": (5, 4, 3, 3)}),  # more filters
        (nn.Linear(4, 4), {"weight": (4, 4, 1)}),
        (nn.Linear(4, 4), {"weight": (0, 4)}),
        (nn.Embedding(4, 4), {"weight": (3, 3)}),
    ],
)
def test_what_no_removal_of_channels_gives_is_misshapen(layer: nn.Module, shapes: dict[str, tuple[int, ...]]) -> None:
    result = narrow(layer, shapes)
    assert len(result.misshapen) == 1
    assert result.misshapen[0].startswith("weight (")
    assert not result.changed


def test_widths_that_do_not_follow_each_other_are_refused(tmp_path: Path, trained: Make) -> None:
    state = trained("resnet8").state_dict()
    state["fc.weight"] = state["fc.weight"][:, :50]
    torch.save(state, tmp_path / "a")
    message = r"got: .*mat1 and mat2.* in 'fc', where in the file fc\.weight is 10x50 instead of 10x64"
    with pytest.raises(UsageError, match=message):
        read(tmp_path / "a", arch="resnet8", shape=(3, 32, 32))


def test_a_narrower_tensor_is_named_also_where_another_layer_fails(tmp_path: Path, trained: Make) -> None:
    state = trained("resnet8").state_dict()
    state["conv1.weight"] = state["conv1.weight"][:12]
    torch.save(state, tmp_path / "a")
    with pytest.raises(UsageError, match=r" in 'bn1', where in the file conv1\.weight is 12x3x3x3 instead of 16x3x3x3"):
        read(tmp_path / "a", arch="resnet8", shape=(3, 32, 32))


def test_network_handed_in_is_untouched() -> None:
    network = build("resnet8", classes=10, channels=3, image_size=32)
    before = network_digest(network)
    narrow(network, {"conv1.weight": (3, 3, 3, 3)})
    assert network_digest(network) == before


@pytest.mark.parametrize("layer", [nn.LSTM(24, 8), nn.GRU(24, 8), nn.RNN(24, 8), nn.LSTMCell(24, 8)], ids=repr)
def test_recurrent_layers_do_not_become_narrower(layer: nn.Module) -> None:
    # torch's kernels take an LSTM whose weights are narrower than it says, and read what lies behind them in memory
    name, weight = next((name, each) for name, each in layer.named_parameters() if name.startswith("weight_ih"))
    narrowed = narrow(nn.Sequential(layer), {f"0.{name}": (len(weight), 8)})
    assert narrowed.changed == ()
    assert narrowed.misshapen == (f"0.{name} ({len(weight)}x8 instead of {len(weight)}x24)",)

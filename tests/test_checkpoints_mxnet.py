"""The authors' names, as their symbols and their gluon blocks write them, for whole networks."""

import re
from collections.abc import Callable, Iterator

import pytest
import torch
from foreign import randomized
from torch import Tensor, nn

from octconv_cuda import OctaveBatchNorm2d, OctConv2d, checkpoints, models
from octconv_cuda.models.blocks import SqueezeExcitation

NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_var",
}
LEAVES = ("weight", "bias")
IMAGE = torch.randn(1, 3, 64, 64)


def slots(module: nn.Module, key: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A parameter of one of our layers as (slot, tensor) of the authors' layers."""
    if isinstance(module, OctConv2d) and key == "weight":
        rows = value.split_with_sizes(module.out_split)
        if module.groups == module.in_channels > 1:
            yield from zip(("h2h", "l2l"), rows, strict=True)
            return
        for b, row in zip("hl", rows, strict=True):
            columns = [c // module.groups for c in module.in_split]
            for a, block in zip("hl", row.split_with_sizes(columns, 1), strict=True):
                yield f"{a}2{b}", block
    else:
        yield "", value


def layers(network: nn.Module) -> Iterator[tuple[str, str, str, Tensor]]:
    """(path, slot, leaf, tensor) of all parameters and buffers but counts of batches."""
    for path, module in network.named_modules():
        if isinstance(module, OctaveBatchNorm2d):
            for part in ("high", "low"):
                for leaf, value in getattr(module, part).state_dict().items():
                    yield path, part[0], leaf, value
        elif isinstance(module, SqueezeExcitation):
            high = module.split[0]
            fc1, fc2 = module.fc1.weight, module.fc2.weight
            for path2, slot, value in (
                ("fc1", "h2h", fc1[:, :high]),
                ("fc1", "l2h", fc1[:, high:]),
                ("fc2", "h2h", fc2[:high]),
                ("fc2", "h2l", fc2[high:]),
            ):
                yield f"{path}.{path2}", slot, "weight", value
            yield f"{path}.fc1", "h2h", "bias", module.fc1.bias
            yield f"{path}.fc2", "h2h", "bias", module.fc2.bias[:high]
            yield f"{path}.fc2", "h2l", "bias", module.fc2.bias[high:]
        elif not re.search(r"\.(high|low|fc[12])$", path) and not [*module.children()]:
            for leaf, value in module.state_dict().items():
                for slot, part in slots(module, leaf, value):
                    yield path, slot, leaf, part


def state(network: nn.Module, name: Callable[[str, str, str], str]) -> dict[str, Tensor]:
    """Under the names that ``name`` gives a path, a slot and a leaf; empty tensors are left out."""
    return {
        name(path, slot, leaf): value.detach()
        for path, slot, leaf, value in layers(network)
        if value.numel() and leaf != "num_batches_tracked"
    }


def symbol_name(path: str, slot: str, leaf: str) -> str:
    """L2_B01_conv1_conv-h2h_weight, L2_B01_conv1_bn-h_gamma, tail_bn_gamma, classifier_weight."""
    is_norm = bool(re.search(r"bn\d$|norm$|downsample\.0$", path))
    path = {"conv1": "conv1_conv", "bn1": "conv1_bn", "norm": "tail_bn", "fc": "classifier"}.get(
        path, path
    )
    block = re.match(r"layer(\d)\.(\d+)\.(.*)", path)
    if block:
        layer = re.sub(r"^(?:conv|bn)(\d)$", r"conv\1", block[3])
        layer = re.sub(r"^downsample\.\d$", "conv4", layer).replace("se.", "se_")
        kind = "" if layer.startswith("se") else "_bn" if is_norm else "_conv"
        path = f"L{int(block[1]) + 1}_B{int(block[2]) + 1:02d}_{layer}{kind}"
    slot = f"-{slot}" if slot else ""
    prefix = "aux:" if leaf.startswith("running") else "arg:"
    return f"{prefix}{path}{slot}_{NORM[leaf] if is_norm else leaf}"


def gluon_name(attributes: bool, blocks: list[str]) -> Callable[[str, str, str], str]:
    """R50_L1_B0_conv1-h2h_weight; with attributes L1_B0.conv1.conv_h2h.weight."""

    def name(path: str, slot: str, leaf: str) -> str:
        is_norm = bool(re.search(r"bn\d$|features\.\d+\.1$|norm$|downsample\.1$", path))
        if leaf in NORM and is_norm:
            leaf = {"weight": "gamma", "bias": "beta"}.get(leaf, leaf)
        path = re.sub(r"^layer(\d)\.(\d+)\.", r"L\1_B\2.", path)
        path = re.sub(r"^features\.(\d+)\.(?=conv|bn)", lambda m: f"{blocks[int(m[1]) - 1]}.", path)
        path = path.replace("downsample.0", "conv4").replace("downsample.1", "bn4")
        path = re.sub(r"^features\.0\.0$|^conv1$", "conv1.0" if attributes else "conv1", path)
        path = re.sub(r"^features\.0\.1$|^bn1$", "conv1.1" if attributes else "bn1", path)
        path = re.sub(r"^features\.18\.(.)$", lambda m: ("tail-conv", "tail-bn")[int(m[1])], path)
        if attributes:
            path = path.replace("fc", "classifer")
            slot = "" if not slot else f".bn_{slot}" if is_norm else f".conv_{slot}"
            return f"{path}{slot}.{leaf}"
        path = path.replace("fc", "classifier").replace(".", "_")
        return f"R50_{path}{f'-{slot}' if slot else ''}_{leaf}"

    return name


@pytest.mark.parametrize("se", [False, True], ids=["", "se"])
def test_symbols(se: bool) -> None:
    source, network = (
        models.OctResNet((2, 2, 2, 2), 0.5, se=se, num_classes=5).eval() for _ in range(2)
    )
    randomized(source)
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-4
    values = state(source, symbol_name)
    assert "arg:L3_B01_conv4_conv-l2h_weight" in values
    assert "aux:L2_B02_conv3_bn-l_moving_var" in values
    report = checkpoints.load(network, values)
    assert report.unexpected == ()
    assert {name.rpartition(".")[2] for name in report.missing} == {"num_batches_tracked"}
    assert report.notes == ("all batch norms: eps is 0.0001, as in the authors' symbols",)
    torch.testing.assert_close(network(IMAGE), source(IMAGE))


BLOCKS = {
    "oct_mobilenet_v1": "1_1 2_0 2_1 3_0 3_1 4_0 4_1 4_2 4_3 4_4 4_5 5_0 5_1",
    "oct_mobilenet_v2": "1_1 2_0 2_1 3_0 3_1 3_2 4_0 4_1 4_2 4_3 4_4 4_5 4_6 5_0 5_1 5_2 5_3",
}


@pytest.mark.parametrize("attributes", [False, True], ids=["", "attributes"])
@pytest.mark.parametrize("name", ["oct_resnet26", "oct_mobilenet_v1", "oct_mobilenet_v2"])
def test_gluon(name: str, attributes: bool) -> None:
    variant = {"variant": "v1"} if name == "oct_resnet26" else {}
    source, network = (
        getattr(models, name)(0.5, num_classes=5, **variant).eval() for _ in range(2)
    )
    randomized(source)
    blocks = [f"L{n.replace('_', '_B')}" for n in BLOCKS.get(name, "").split()]
    values = state(source, gluon_name(attributes, blocks))
    classifier = next(key for key in values if "classif" in key and key.endswith("weight"))
    values[classifier] = values[classifier][:, :, None, None]  # a 1x1 convolution there
    report = checkpoints.load(network, values)
    assert report.unexpected == report.notes == ()
    torch.testing.assert_close(network(IMAGE), source(IMAGE))


@pytest.mark.parametrize("attributes", [False, True], ids=["", "attributes"])
def test_gluon_squeeze_excitation(attributes: bool) -> None:
    """Its second layer has a weight for each part."""
    layer1, layer2, dot = (
        ("L1_B0.se_block.conv1", "L1_B0.se_block.conv2_", ".")
        if attributes
        else ("L1_B0_se-conv1", "L1_B0_se-conv2-", "_")
    )
    names = [f"{n}{dot}{leaf}" for n in (layer1, f"{layer2}h", f"{layer2}l") for leaf in LEAVES]
    network = models.OctResNet((1, 1), 0.5, variant="v1", se=True, num_classes=5)
    shapes = [(16, 256, 1, 1), (16,), (128, 16, 1, 1), (128,), (128, 16, 1, 1), (128,)]
    values = {name: torch.randn(shape) for name, shape in zip(names, shapes, strict=True)}
    report = checkpoints.load(network, values, strict=False)
    assert report.unexpected == ()
    se, tensors = network.layer1[0].se, list(values.values())
    assert torch.equal(se.fc1.weight, tensors[0][:, :, 0, 0])
    assert torch.equal(se.fc2.weight, torch.cat([tensors[2], tensors[4]])[:, :, 0, 0])
    assert torch.equal(se.fc2.bias, torch.cat([tensors[3], tensors[5]]))

"""The cost of whole networks: exact against PyTorch's counter, its own shapes, and gradients."""

import json
import re
from pathlib import Path

import pytest
import torch
from networks import Network
from torch import Tensor, nn
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from octconv_cuda import OctaveMaps, OctConv2d, cost, fuse, models
from octconv_cuda.cost.__main__ import main

TABLE = json.loads(Path(__file__).with_name("paper.json").read_text())
# Deeper ones have more of the same blocks.
NAMES = [
    name
    for name in models.__all__
    if name.startswith("oct_") and not re.search("101|152|200", name)
]


@pytest.mark.parametrize("alpha", [0, 0.5])
@pytest.mark.parametrize("name", NAMES)
def test_layers_add_up_to_what_pytorch_counts(name: str, alpha: float) -> None:
    with torch.device("meta"):
        network = getattr(models, name)(alpha)
    total = cost.network_cost(network, (2, 3, 65, 97))
    assert sum(layer.macs for layer in total.layers) == total.macs
    assert total.flops == 2 * total.macs
    assert total.parameters == sum(p.numel() for p in network.parameters())
    assert total.activations == sum(layer.outputs for layer in total.layers)


def test_training_step_is_three_forward_passes_but_for_the_image() -> None:
    """The registered formulas: nobody asks for the gradient of the image."""
    network = models.oct_resnet26(0.5, num_classes=3)
    total = cost.network_cost(network, (2, 3, 32, 32))
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(2, 3, 32, 32)).sum().backward()
    stem = next(layer for layer in total.layers if layer.name == "conv1")
    assert counter.get_total_flops() == 3 * total.flops - 2 * stem.macs


def test_real_and_meta_networks_cost_the_same() -> None:
    network = Network()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    total = cost.network_cost(network, (1, 3, 17, 14))
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.randn(1, 3, 17, 14))
    assert counter.get_total_flops() == total.flops
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert not any(p.is_meta for p in network.parameters())


def test_a_layer_of_pairs() -> None:
    layer = OctConv2d(8, 12, 3, alpha_in=0.25)
    total = cost.network_cost(layer, OctaveMaps(torch.empty(2, 6, 7, 5), torch.empty(2, 2, 4, 3)))
    (only,) = total.layers
    assert only.macs == total.macs == cost.macs((6, 2), (6, 6), (3, 3), (7, 5), batch=2)
    assert only.outputs == cost.activation_elements((6, 6), (7, 5), batch=2)
    assert only.inputs == cost.activation_elements((6, 2), (7, 5), batch=2)
    assert only.parameters == total.parameters == 8 * 12 * 9 + 12


@pytest.mark.parametrize("alpha", [0, 0.5])
@pytest.mark.parametrize(
    "name", ["oct_resnet26", "oct_se_resnet50", "oct_mobilenet_v1", "oct_mobilenet_v2"]
)
def test_a_fused_network_costs_what_it_cost_before(name: str, alpha: float) -> None:
    """Of its layers all that they hold counts, though it is no parameter."""
    with torch.device("meta"):
        network = getattr(models, name)(alpha, num_classes=3).eval()
    fused = fuse(network)
    before, after = (cost.network_cost(n, (2, 3, 65, 97)) for n in (network, fused))
    assert after.macs == before.macs == sum(layer.macs for layer in after.layers)
    for field in ("macs", "inputs", "outputs"):
        assert sorted(getattr(layer, field) for layer in after.layers) == sorted(
            getattr(layer, field) for layer in before.layers
        )
    assert after.activations == before.activations
    for layer in after.layers:
        module = fused.get_submodule(layer.name)
        held = (*module.parameters(), *module.buffers())
        assert layer.parameters == sum(tensor.numel() for tensor in held)
    in_layers = sum(layer.parameters for layer in after.layers)
    norms = [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    assert after.parameters == in_layers + sum(2 * norm.num_features for norm in norms)


def test_a_family_does_not_matter_where_nothing_is_computed() -> None:
    layers = [OctConv2d(8, 8, 3, family=family).eval() for family in (None, "sm80")]
    maps = OctaveMaps(torch.empty(1, 4, 8, 8), torch.empty(1, 4, 4, 4))
    costs = [cost.network_cost(module, maps) for layer in layers for module in (layer, fuse(layer))]
    assert len({total.macs for total in costs}) == 1


def test_arguments_by_name() -> None:
    """The size of the high grid too, which a low part alone does not tell."""

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = OctConv2d((0, 4), (2, 2), 3)

        def forward(self, low: Tensor) -> OctaveMaps:
            return self.conv(size=(7, 7), input=(None, low))

    total = cost.network_cost(Named(), (1, 4, 4, 4))
    assert total.layers[0].inputs == 64
    assert total.layers[0].macs == total.macs == cost.macs((0, 4), (2, 2), (3, 3), (7, 7))


def test_a_forward_of_any_arguments() -> None:
    conv = nn.Conv2d(3, 4, 3)
    forward = conv.forward
    conv.forward = lambda *args, **kwargs: forward(*args, **kwargs)
    layer = cost.network_cost(conv, (1, 3, 8, 8)).layers[0]
    assert (layer.inputs, layer.macs) == (3 * 64, 4 * 36 * 27)


def test_an_argument_of_another_name() -> None:
    class Renamed(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = Renamed(3, 4, 3)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv(x=image)

    assert cost.network_cost(Named(), (1, 3, 8, 8)).layers[0].macs == 4 * 36 * 27


def test_weights_that_are_computed() -> None:
    """A layer reads its weight, whatever parameters that comes from."""
    layer = torch.nn.utils.parametrizations.weight_norm(OctConv2d(3, 4, 3, alpha_in=0))
    total = cost.network_cost(nn.Sequential(layer), (1, 3, 8, 8))
    assert total.layers[0].parameters == 4 * 3 * 9 + 4
    assert total.parameters == 4 + 4 * 3 * 9 + 4


def test_networks_of_other_dtypes() -> None:
    network = models.oct_resnet26(0.5)
    size = (1, 3, 32, 32)
    total, fields = cost.network_cost(network, size), cost.receptive_field(network, size)
    network.bfloat16()
    assert cost.network_cost(network, size) == total
    assert cost.receptive_field(network, size) == fields


def test_inputs_that_are_none() -> None:
    network: nn.Module = nn.Conv2d(3, 3, 3)
    with pytest.raises(ValueError, match=r"receptive_field: input must be \(N, C, H, W\)"):
        cost.receptive_field(network, (3, 32, 32))
    for function in (cost.network_cost, cost.receptive_field):
        with pytest.raises(TypeError, match=f"{function.__name__}: input must be a tensor or a"):
            function(network, "224")
        for parts in ((torch.ones(1, 3, 4, 4), 3), ((1, 3, 4, 4), (1, 3, 2, 2))):
            with pytest.raises(TypeError, match=f"{function.__name__}: the parts of input must be"):
                function(network, parts)
        with pytest.raises(TypeError, match=f"{function.__name__}: network must be a module, got"):
            function(3, (1, 3, 4, 4))


def test_roofline() -> None:
    layer = OctConv2d((64, 0), (64, 0), 3, bias=False)
    total = cost.network_cost(layer, (1, 64, 56, 56))
    slow_memory = cost.Device("a", {"float32": 1e30}, 1e9, "this test")
    slow_arithmetic = cost.Device("b", {"float32": 1e9}, 1e30, "this test")
    elements = 2 * 64 * 56 * 56 + 64 * 64 * 9
    assert cost.roofline_seconds(total, slow_memory, "float32") == pytest.approx(4e-9 * elements)
    assert cost.roofline_seconds(total, slow_arithmetic, "float32") == pytest.approx(
        2e-9 * total.macs
    )
    assert cost.roofline_seconds(total, cost.DEVICES["h100"], "float16") > 0
    with pytest.raises(ValueError, match=r"dtype must be one of .*16', 'float16'\) .*got 'int8'"):
        cost.roofline_seconds(total, cost.DEVICES["h100"], "int8")
    own = cost.Device("own", {"float32": 1e12, "float64": 1e12}, 1e12, "none")
    for dtype in ("float64", "float16"):
        with pytest.raises(ValueError, match=rf"\('float32',\) for own, got '{dtype}'"):
            cost.roofline_seconds(total, own, dtype)
    with pytest.raises(TypeError, match="roofline_seconds: device must be a Device, got str"):
        cost.roofline_seconds(total, "h100")
    with pytest.raises(TypeError, match="roofline_seconds: cost must be a NetworkCost, got int"):
        cost.roofline_seconds(3, own)
    for rates in ((0.0, 1e12), (1e12, 0.0)):
        still = cost.Device("still", {"float32": rates[0]}, rates[1], "none")
        with pytest.raises(ValueError, match=r"rates must be positive, got .* for still"):
            cost.roofline_seconds(total, still, "float32")


def test_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet26", "--device", "h100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = [line.split()[:2] for line in lines[2:7]]
    gmacs = zip(TABLE["alpha"], TABLE["gmacs"]["resnet26"], strict=True)
    assert shown == [[f"{alpha:g}", f"{value:.2f}"] for alpha, value in gmacs]
    assert "NVIDIA H100" in lines[-1]


@pytest.mark.parametrize(
    "arguments",
    [["resnet51"], ["mobilenet_v1", "--variant", "v1"], ["resnet26", "--alphas", "2"]],
    ids=str,
)
def test_command_refuses(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)


def test_dtypes_of_parts_of_a_network() -> None:
    """The convolutions' counts, not that of a parameter before them."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))
            self.conv = nn.Conv2d(3, 3, 3)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv(image) * self.scale

    assert cost.network_cost(Scaled(), (1, 3, 8, 8)).macs == 3 * 3 * 9 * 36
    image = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    network = nn.Sequential(Float(), nn.Conv2d(3, 3, 3))
    assert cost.receptive_field(network, image) == {"1": (3, 3)}


class Float(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.float()


class _OfManyKinds(nn.Module):
    """Convolutions of other ranks, transposed ones; tensors that are no parameters or buffers.

    Some of their values are asked for, as no map's may be.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2, groups=2)
        self.rows = nn.Conv1d(6, 4, 3)
        self.slices = nn.Conv3d(4, 5, (1, 1, 3))
        self.head = nn.Linear(5, 2)
        self.mean = torch.tensor([0.1, 0.2, 0.3])[:, None, None]
        self.order = torch.tensor([1, 0, 5, 4, 3, 2])
        prune.l1_unstructured(self.down, "weight", 0.5)
        self.kept = self.down(torch.randn(1, 3, 8, 8))  # with a graph behind it

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.up(self.down(x - self.mean)) + torch.linspace(0, 1, x.shape[3])
        y = y[:, self.order > -1] * self.order[0].item() if self.order.tolist() else y
        y = self.rows(y.flatten(2))[..., None, None]
        y = self.slices(y.expand(-1, -1, -1, 2, 3)).mean((2, 3, 4))
        return self.head(y)


def test_layers_of_many_kinds() -> None:
    network = _OfManyKinds().eval()
    total = cost.network_cost(network, (2, 3, 8, 8))
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    assert counter.get_total_flops() == total.flops
    assert [layer.name for layer in total.layers] == ["down", "up", "rows", "slices", "head"]
    assert sum(layer.macs for layer in total.layers) == total.macs
    outputs = [2 * 8 * 16, 2 * 6 * 64, 2 * 4 * 62, 2 * 5 * 62 * 2, 2 * 2]
    assert [layer.outputs for layer in total.layers] == outputs


class _GivesADict(nn.Conv2d):
    def forward(self, input: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        y = super().forward(input)
        return {"y": y, "mean": y.mean((2, 3))}


class _GivesAText(nn.Linear):
    def forward(self, input: Tensor) -> str:  # type: ignore[override]
        return str(super().forward(input).shape)


def test_a_layer_that_gives_no_tensors() -> None:
    with pytest.raises(TypeError, match="network_cost: layers must take and give tensors, got str"):
        cost.network_cost(_GivesAText(3, 4), (2, 3))


def test_a_layer_that_gives_no_map() -> None:
    (layer,) = cost.network_cost(_GivesADict(3, 4, 1), (1, 3, 5, 5)).layers
    assert layer.outputs == 4 * 25 + 4

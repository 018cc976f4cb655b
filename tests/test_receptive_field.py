"""Receptive fields: those of gradients, the paper's argument, all that networks are made of."""

import pytest
import torch
from torch import Tensor, nn

from octconv_cuda import OctaveMaps, OctConv2d, PerPart, cost, fuse, models


class Rectangles(nn.Module):
    """Norm, odd kernels, dilation, pooling, stride 2 and a residual sum, for fields."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, (3, 5), 2, (1, 2))
        self.pool = nn.AvgPool2d(3, 2, 1)  # a maximum would hide what it was not
        self.first = OctConv2d(4, 4, (1, 3), alpha_in=0)
        self.second = OctConv2d(4, 4, 3, dilation=(1, 2))
        self.act = PerPart(nn.ReLU())
        self.third = OctConv2d(4, 4, 3, stride=2)
        self.last = OctConv2d(4, 4, 3, alpha_out=0)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(self.pool(self.stem(x)))
        return self.last(self.act(self.third(y + self.act(self.second(y)))))


def seen(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """The largest box of input pixels that one output pixel has a gradient to."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    x = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    boxes = []
    y = network.double()(x).sum(1).flatten()
    for pixel in y:
        (gradient,) = torch.autograd.grad(pixel, x, retain_graph=True)
        rows, columns = gradient[0, 0].nonzero(as_tuple=True)
        boxes.append((int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1))
    return max(box[0] for box in boxes), max(box[1] for box in boxes)


@pytest.mark.parametrize("size", [(64, 64), (57, 83), (91, 70)])
def test_receptive_field_is_that_of_the_gradient(size: tuple[int, int]) -> None:
    network = Rectangles()
    assert cost.receptive_field(network, (1, 1, *size))["last"] == seen(network, size)


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_receptive_field_of_a_layer(kernel: int) -> None:
    """A low pixel stands for four, so that low maps see twice as far (section 3.3)."""
    maps = OctaveMaps(torch.empty(1, 4, 40, 40), torch.empty(1, 4, 20, 20))
    assert cost.receptive_field(OctConv2d(8, 8, kernel), maps) == {"": (2 * kernel, 2 * kernel)}
    only_high = OctConv2d((4, 0), (4, 0), kernel)
    assert cost.receptive_field(only_high, maps.high) == {"": (kernel, kernel)}


def test_receptive_field_of_a_pool() -> None:
    network = nn.Sequential(nn.MaxPool2d(3, 1, dilation=2), nn.Conv2d(3, 3, 1))
    assert cost.receptive_field(network, (1, 3, 16, 16)) == {"1": (5, 5)}


def test_receptive_field_of_networks() -> None:
    with torch.device("meta"):
        fields = [cost.receptive_field(models.oct_resnet50(alpha)) for alpha in (0, 0.5)]
    # 1 + the sum over layers of (kernel - 1) times the stride so far.
    assert fields[0]["layer4.2.conv3"] == (427, 427)
    assert fields[1]["layer1.0.conv2"][0] > fields[0]["layer1.0.conv2"][0]


def test_receptive_field_refuses_what_it_does_not_know() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Upsample(scale_factor=2, mode="bilinear"))
    with pytest.raises(NotImplementedError, match=r"receptive_field: .*bilinear.* is not known"):
        cost.receptive_field(network, (1, 3, 8, 8))


def test_receptive_field_refuses_other_strides() -> None:
    class Transposed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clone().as_strided_(x.shape, (x.stride(0), x.stride(1), 1, x.shape[2]))

    network = nn.Sequential(nn.Conv2d(3, 3, 3), Transposed(), nn.Conv2d(3, 3, 1))
    with pytest.raises(NotImplementedError, match="receptive_field: as_strided_ is not known"):
        cost.receptive_field(network, (1, 3, 8, 8))


def test_receptive_field_refuses_transposed_convolutions() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(3, 3, 2, 2), nn.Conv2d(3, 3, 1))
    with pytest.raises(NotImplementedError, match="receptive_field: transposed convolutions"):
        cost.receptive_field(network, (1, 3, 16, 16))


@pytest.mark.parametrize(
    "norm",
    [nn.InstanceNorm2d(3), nn.BatchNorm2d(3, track_running_stats=False), nn.GroupNorm(3, 3)],
    ids=str,
)
def test_statistics_of_an_image_see_all_of_it(norm: nn.Module) -> None:
    network = nn.Sequential(norm, nn.Conv2d(3, 3, 1))
    assert cost.receptive_field(network, (1, 3, 16, 9)) == {"1": (16, 9)}


@pytest.mark.parametrize("alpha", [0, 0.5])
@pytest.mark.parametrize("name", ["oct_resnet26", "oct_mobilenet_v2"])
def test_receptive_field_of_fused_networks(name: str, alpha: float) -> None:
    network = getattr(models, name)(alpha).eval()
    fields = cost.receptive_field(network, (1, 3, 64, 64))
    fused = cost.receptive_field(fuse(network), (1, 3, 64, 64))
    assert [*fused.values()][-1] == [*fields.values()][-1]
    assert len(fused) == len(fields)


@pytest.mark.parametrize(
    "activation",
    [nn.Hardswish(), nn.Hardswish(inplace=True), nn.PReLU(), nn.Mish(), nn.Mish(inplace=True)],
    ids=str,
)
def test_activations_see_pixels(activation: nn.Module) -> None:
    network = nn.Sequential(OctConv2d(3, 4, 3, alpha_in=0), PerPart(activation), OctConv2d(4, 4, 1))
    fields = cost.receptive_field(network, (1, 3, 32, 32))
    assert fields["2"] == fields["0"] == (6, 6)


def test_a_classifier_behind_octave_layers() -> None:
    """The mean over a map in channels_last has strides of its own."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    network = nn.Sequential(OctConv2d(3, 4, 3, alpha_in=0), OctConv2d(4, 4, 1, alpha_out=0), head)
    assert cost.receptive_field(network, (1, 3, 32, 32)) == {"0": (6, 6), "1": (6, 6)}

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from octconv_cuda import OctaveMaps, OctConv2d, cost, reference, split_channels


@pytest.mark.parametrize("alpha", [0, 0.125, 0.25, 0.5, 0.75, 1])
def test_cost_is_that_of_the_paper(alpha):
    channels, size = split_channels(64, alpha), (56, 56)
    vanilla = cost.macs((64, 0), (64, 0), (3, 3), size)
    assert vanilla == 64 * 64 * 9 * 56 * 56
    expected = 1 - 3 / 4 * alpha * (2 - alpha)
    assert cost.macs(channels, channels, (3, 3), size) == expected * vanilla
    assert cost.activation_elements(channels, size) == (1 - 3 / 4 * alpha) * 64 * 56 * 56


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("in_channels", "out_channels", "groups"),
    [
        ((6, 2), (4, 8), 1),
        ((8, 0), (4, 4), 1),
        ((0, 8), (4, 4), 1),
        ((6, 2), (12, 0), 1),
        ((6, 2), (0, 12), 1),
        ((6, 2), (4, 8), 2),
        ((6, 2), (12, 4), 8),
    ],
)
def test_cost_is_what_pytorch_counts(in_channels, out_channels, groups, stride):
    size, batch, kernel = (9, 6), 2, (3, 5)
    columns = sum(in_channels) // groups
    maps = [
        torch.zeros(batch, channels, *part_size) if channels else None
        for channels, part_size in zip(in_channels, (size, (5, 3)), strict=True)
    ]
    weight = torch.zeros(sum(out_channels), columns, *kernel)
    with FlopCounterMode(display=False) as counter:
        results = reference.oct_conv2d(
            *maps, weight, None, out_channels[0], stride=stride, groups=groups, size=size
        )
    counted = cost.macs(
        in_channels, out_channels, kernel, size, stride=stride, groups=groups, batch=batch
    )
    assert 2 * counted == counter.get_total_flops()
    if stride == 1:
        elements = cost.activation_elements(out_channels, size, batch=batch)
        assert elements == sum(y.numel() for y in results if y is not None)


def test_cost_refuses_what_the_operator_refuses():
    with pytest.raises(ValueError, match="stride must be 1 or 2, got 3"):
        cost.macs((4, 4), (4, 4), (3, 3), (8, 8), stride=3)
    with pytest.raises(ValueError, match="groups=3 must divide"):
        cost.macs((4, 4), (4, 4), (3, 3), (8, 8), groups=3)


@pytest.mark.parametrize("stride", [1, 2])
def test_flop_counter_counts_the_operators(stride: int) -> None:
    """Forward, input gradient and weight gradient: each the products of one forward pass."""
    layer = OctConv2d(8, 12, 3, stride=stride, alpha_in=0.25, alpha_out=0.5)
    maps = OctaveMaps(torch.randn(2, 6, 7, 5), torch.randn(2, 2, 4, 3).requires_grad_())
    with FlopCounterMode(display=False) as counter:
        y = layer(maps)
        (y.high.sum() + y.low.sum()).backward()
    products = cost.macs((6, 2), (6, 6), (3, 3), (7, 5), stride=stride, batch=2)
    assert counter.get_total_flops() == 3 * 2 * products

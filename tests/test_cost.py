import pytest
import torch
from refusals import Bad, cases, refuse
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


@cases(
    ("stride", {"stride": 3}, ValueError, ("stride must be 1 or 2", "3")),
    ("stride, no int", {"stride": 1.0}, ValueError, ("stride must be 1 or 2", "1.0")),
    ("groups", {"groups": 3}, ValueError, ("groups=3 must divide",)),
    ("groups 0", {"groups": 0}, ValueError, ("groups must be at least 1", "0")),
    ("count", {"in_channels": 8}, TypeError, ("in_channels must be a pair of ints", "8")),
    ("three", {"out_channels": (4, 4, 1)}, TypeError, ("out_channels", "(4, 4, 1)")),
    ("negative part", {"in_channels": (9, -1)}, ValueError, ("in_channels", "(9, -1)")),
    ("kernel", {"kernel_size": 3}, TypeError, ("kernel_size must be a pair of ints", "3")),
    ("size", {"size": 8}, TypeError, ("size must be a pair of ints", "8")),
    ("negative size", {"size": (-8, 8)}, ValueError, ("size", "no negative", "(-8, 8)")),
    ("batch", {"batch": -1}, ValueError, ("batch must be at least 0", "-1")),
    ("batches", {"batch": 1.5}, TypeError, ("batch must be an int", "1.5")),
)
def test_macs_refuses(bad: Bad) -> None:
    good = {"in_channels": (4, 4), "out_channels": (4, 4), "kernel_size": (3, 3), "size": (8, 8)}
    refuse(lambda **bad: cost.macs(**{**good, **bad}), bad, "macs: ")


@cases(
    ("count", {"channels": 8}, TypeError, ("channels must be a pair of ints", "8")),
    ("negative part", {"channels": (4, -4)}, ValueError, ("channels", "(4, -4)")),
    ("negative size", {"size": (8, -8)}, ValueError, ("size", "(8, -8)")),
    ("batch", {"batch": -1}, ValueError, ("batch must be at least 0", "-1")),
)
def test_activation_elements_refuses(bad: Bad) -> None:
    good = {"channels": (4, 4), "size": (8, 8)}
    refuse(lambda **bad: cost.activation_elements(**{**good, **bad}), bad, "activation_elements: ")


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

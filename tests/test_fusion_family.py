"""The family of kernels that a layer names must serve it once it is fused, too."""

from typing import Any

import pytest
import torch
from networks import assert_maps_close, octave_maps
from refusals import NoWork
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from octconv_cuda import FusedConv2d, OctConv2d, call, fuse


class Families(TorchDispatchMode):
    """Notes the family that ``octconv_cuda::inference`` is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.served: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        if function.overloadpacket.__name__ == "inference":
            self.served.append(args[-1] if len(args) == len(function._schema.arguments) else "")
        return function(*args, **(kwargs or {}))


def test_a_fused_layer_is_served_by_the_family_of_the_layer() -> None:
    maps = octave_maps(2, (4, 4), (9, 9), torch.float16)
    families = Families()
    for family in (None, "none"):
        fused = FusedConv2d(OctConv2d(8, 8, 3, family=family, dtype=torch.float16).eval())
        with families:
            fused(maps)
    assert families.served == ["", "none"]


@pytest.mark.parametrize("family", ["sm80", "sm90"])
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "no kernel for the device cpu"),
        ({"dtype": torch.float16}, "no kernel for the device cpu"),
        ({"stride": 2, "alpha_out": 0}, "no kernel for the device cpu"),
        ({"alpha_in": 0, "alpha_out": 0}, "no low part on either side"),
        ({"alpha_in": 1, "alpha_out": 1}, "no high part on either side"),
        ({"groups": 2}, "groups=2; the operators have one group"),
        ({"groups": 8, "dtype": torch.float64}, "groups=8; the operators have one group"),
        ({"dilation": 2}, "the operators have dilation 1"),
    ],
    ids=str,
)
def test_a_family_that_cannot_serve_is_refused_at_the_call(
    arguments: dict[str, Any], reason: str, family: str
) -> None:
    """As the layer itself does: oneDNN, cuDNN and compositions are no kernels of a family."""
    network = nn.Sequential(OctConv2d(8, 8, 3, family=family, **arguments), nn.ReLU()).eval()
    fused = fuse(network)
    assert isinstance(fused[0], FusedConv2d)
    maps = octave_maps(2, network[0].in_split, (9, 9), arguments.get("dtype", torch.float32))
    for module, name in ((network, "OctConv2d"), (fused, "FusedConv2d")):
        with NoWork(), pytest.raises(ValueError, match=reason) as caught:
            module(maps)
        assert str(caught.value).startswith(f"{name}: family='{family}' must serve the call, but ")


def test_a_family_serves_a_fused_layer_where_it_serves_the_layer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At stride 2 a high output alone, too, which else is a convolution of the pooled input."""
    monkeypatch.setattr(call, "native_kernels", lambda device_type: ("explain_forward",))
    families, maps = Families(), octave_maps(2, (4, 4), (9, 9), torch.float16)
    for alpha_out in (0, 0.5):
        layer = OctConv2d(8, 8, 3, 2, alpha_out=alpha_out, family="sm80", dtype=torch.float16)
        fused = FusedConv2d(layer.eval())
        with torch.no_grad(), families:
            assert_maps_close(fused(maps), layer(maps), rtol=1e-2, atol=1e-2)
    assert families.served == ["sm80", "sm80"]

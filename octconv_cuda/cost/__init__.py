"""What octave layers and networks cost, from shapes alone: nothing is computed or timed.

``python -m octconv_cuda.cost resnet50`` prints a network's cost over alphas.
"""

from .field import receptive_field
from .layer import activation_elements, macs
from .network import LayerCost, NetworkCost, network_cost
from .roofline import DEVICES, Device, roofline_seconds

__all__ = [
    "DEVICES",
    "Device",
    "LayerCost",
    "NetworkCost",
    "activation_elements",
    "macs",
    "network_cost",
    "receptive_field",
    "roofline_seconds",
]

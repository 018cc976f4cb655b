"""Weights of other implementations, by their names and shapes.

A split is never recomputed from an alpha: the shapes of a checkpoint decide, and layers take them
over. What is loaded are weights. Where other code computes another function with them (a low input
pooled before it goes up at stride 2, upsampling before the convolution), outputs differ.
"""

from .load import load, read
from .plan import Report

__all__ = ["Report", "load", "read"]

"""SGD-Net, structure-guided dynamic convolution for medical image segmentation, as parts for MONAI."""

from custom_networks.errors import UserError
from custom_networks.losses.sgd_loss import SGDNetLoss
from custom_networks.metrics.hausdorff import HausdorffDistance95, Misses
from custom_networks.network.interactive import InteractiveSGDNet
from custom_networks.network.sgdnet import SGDNet, SGDNetMaps
from custom_networks.operators.boundary import MorphologicalGradient, MorphologicalGradientd
from custom_networks.weights import load_checkpoint

__all__ = [
    "HausdorffDistance95",
    "InteractiveSGDNet",
    "Misses",
    "MorphologicalGradient",
    "MorphologicalGradientd",
    "SGDNet",
    "SGDNetLoss",
    "SGDNetMaps",
    "UserError",
    "load_checkpoint",
]

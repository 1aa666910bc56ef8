"""SGD-Net, structure-guided dynamic convolution for medical image segmentation, as parts for MONAI."""

from custom_networks.network.sgdnet import SGDNet, SGDNetMaps

__all__ = ["SGDNet", "SGDNetMaps"]

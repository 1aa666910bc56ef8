from .baseline import Baseline as Baseline
from .cto import CTO as CTO
from .levit_unet import LeViTUNet as LeViTUNet
from .transunet import TransUNet as TransUNet
from .unet_v2 import UNetV2 as UNetV2
from .vm_unet_v2 import VMUNetV2 as VMUNetV2

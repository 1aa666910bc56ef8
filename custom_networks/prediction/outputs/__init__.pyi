from .registry import IMAGE_OUTPUTS as IMAGE_OUTPUTS
from .registry import SLIDE_OUTPUTS as SLIDE_OUTPUTS
from .registry import TABLE_OUTPUTS as TABLE_OUTPUTS
from .registry import chosen_outputs as chosen_outputs
from .registry import follows_objects as follows_objects
from .registry import image_output as image_output

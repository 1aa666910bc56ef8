from .drawing import AREA_RANGE as AREA_RANGE
from .drawing import MIN_SIZE as MIN_SIZE
from .drawing import draw_phantom as draw_phantom
from .writing import write_phantoms as write_phantoms

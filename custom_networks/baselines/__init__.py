"""Networks to compare with: the predecessor, published ones written from their papers, and MONAI's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

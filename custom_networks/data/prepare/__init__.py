"""`sgdnet prepare`: from a data set as it is downloaded to a MONAI datalist, with splits, a cache and a data card."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

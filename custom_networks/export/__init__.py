"""Export: the trained network as a file that runs without this package, and the bundle as one archive."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

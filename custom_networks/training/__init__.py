"""Training helpers that MONAI has no part for, or one that the bundle cannot use; see each file's header."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

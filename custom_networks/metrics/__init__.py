"""Metrics of masks, probabilities and instance maps; `policies.METRICS` is the table of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

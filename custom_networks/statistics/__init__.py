"""Statistics of per-image tables: summaries with intervals, folds, subgroups, and the comparison of runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

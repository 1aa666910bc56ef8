"""Evaluation: every image of a split measured, one row each, and what a report needs of the few that stand out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

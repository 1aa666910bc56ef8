"""Dermoscopy phantoms: skin-lesion pictures with outlines, drawn from a seed, for samples, the README and tests.

Every pixel is computed here from noise, curves and light absorption; nothing is copied, sampled or learnt from any data
set. The pictures show what makes the real task hard (skin from very light to very dark, ragged and faint borders,
several colours in one lesion, hairs, rulers, gel bubbles, freckles, black corners), but a score on them says nothing
clinical. A phantom depends on its seed, its index and its size alone; each layer has a random stream of its own.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

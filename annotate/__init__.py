"""Interactive annotation: a MONAI Label app with its own page, queue, label versions and fine-tuning.

`sgdnet annotate --studies DIR` starts it in its own environment, which `make annotate` makes.
"""

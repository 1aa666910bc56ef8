"""What the process has imported that `warm_process.fork` forks from: torch, MONAI, MLflow, what the verbs import.

Nothing of it is ever garbage. Python's collector would go through it again and again while it is imported, and in every
forked process, which would copy each page of memory that it touches.
"""

import gc
from importlib import import_module

IMPORTED = ["monai.bundle", "mlflow.tracking", "scipy.stats", "skimage", "custom_networks.network.sgdnet"]
IMPORTED += ["custom_networks.run.tracking", "custom_networks.training.trainer", "custom_networks.evaluation.handler"]
IMPORTED += ["custom_networks.prediction.command", "custom_networks.evaluation.masks", "custom_networks.losses", "fire"]
IMPORTED += ["mlflow.store.tracking.sqlalchemy_store", "alembic.autogenerate", "alembic.command"]

gc.disable()
for name in IMPORTED:
    import_module(name)
gc.freeze()
gc.enable()

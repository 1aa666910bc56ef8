"""The app that MONAI Label's machinery and its clients see."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

from annotate.service import Service


def _shim_torchvision() -> None:
    """Let `monailabel.transform.post` import: it wants two functions of torchvision that nothing here calls.

    PyPI's torchvision does not fit a CPU build of torch; hence a module of that name with nothing in it.
    """
    if importlib.util.find_spec("torchvision") is not None:
        return
    top, utils = types.ModuleType("torchvision"), types.ModuleType("torchvision.utils")
    for module in (top, utils):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module
    vars(utils).update(make_grid=None, save_image=None)
    vars(top).update(utils=utils)


def make_app(service: Service) -> Any:
    """Make MONAI Label's app of a service.

    Args:
        service: what it stands on.

    Returns:
        A `MONAILabelApp`; its import takes seconds, hence here.
    """
    _shim_torchvision()
    from monailabel.config import settings
    from monailabel.interfaces.app import MONAILabelApp

    from annotate.datastore import StudiesDatastore
    from annotate.tasks import Epistemic, FineTuning, Next, ProposalDice, QueuedInfer

    settings.MONAI_LABEL_AUTO_UPDATE_SCORING = False
    settings.MONAI_LABEL_SESSIONS = False

    class AnnotationApp(MONAILabelApp):
        """Automatic and guided segmentation, fine-tuning, active learning and scoring."""

        def init_datastore(self) -> StudiesDatastore:
            return StudiesDatastore(service)

        def init_infers(self) -> dict[str, Any]:
            return {"sgdnet": QueuedInfer(service, False), "sgdnet_clicks": QueuedInfer(service, True)}

        def init_trainers(self) -> dict[str, Any]:
            return {"sgdnet": FineTuning(service)}

        def init_strategies(self) -> dict[str, Any]:
            return {
                "epistemic": Next(service, "epistemic", "The image on which flipped views disagree most"),
                "random": Next(service, "random", "A random image without a label"),
                "first": Next(service, "first", "The first image without a label"),
            }

        def init_scoring_methods(self) -> dict[str, Any]:
            return {"epistemic": Epistemic(service), "dice": ProposalDice(service)}

    return AnnotationApp(
        app_dir=str(service.settings.annotations),
        studies=str(service.settings.studies),
        conf={},
        name="SGD-Net",
        description="Segmentation of lesions and nuclei where the boundary matters",
    )

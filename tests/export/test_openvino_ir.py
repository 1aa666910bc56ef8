"""What OpenVINO does to the process around it, and in which type it computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import run_python

from custom_networks.export import Exported
from custom_networks.export.openvino_ir import open_openvino, openvino_core

pytest.importorskip("openvino")

MODEL = """
import json, os, shutil, signal, sys, threading
import numpy as np, openvino
from openvino import opset13
from custom_networks.export.openvino_ir import PLACE, open_openvino

image = opset13.parameter([-1, 3, -1, -1], np.float32)
model = openvino.Model([opset13.add(image, opset13.constant(np.full((1, 3, 1, 1), 2, np.float32)))], [image])
model.set_rt_info(json.dumps({"precision": "float32"}), PLACE)
openvino.save_model(model, sys.argv[1])
"""
REPLACED = f"""{MODEL}
run = open_openvino(sys.argv[1], 1)
shutil.rmtree(sys.argv[2])
assert run(np.ones((1, 3, 8, 8), np.float32)).sum() == 3 * 192
assert run(np.ones((2, 3, 8, 8), np.float32)).sum() == 6 * 192
"""
LET_GO_IN_A_THREAD = f"""{MODEL}
held = [open_openvino(sys.argv[1], 1)]
assert held[0](np.ones((1, 3, 8, 8), np.float32)).sum() == 3 * 192
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("told"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.slow
def test_a_signal_is_survived_after_a_thread_has_let_go_of_the_file(tmp_path: Path) -> None:
    result = run_python(["-c", LET_GO_IN_A_THREAD, str(tmp_path / "model.xml")], tmp_path)
    assert (result.returncode, result.stdout) == (0, "told\n"), result.stderr


@pytest.mark.slow
def test_a_file_that_is_replaced_or_removed_stays_open_for_every_shape(tmp_path: Path) -> None:
    """Another prediction removes what older weights or versions left, while an earlier one may still use it."""
    folder = tmp_path / "engine"
    folder.mkdir()
    result = run_python(["-c", REPLACED, str(folder / "model.xml"), str(folder)], tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_int8_has_float32_around_it(exported: Callable[[str, str], Exported]) -> None:
    """As in the search for the stages that stay in floating point; on a processor without bfloat16 it cannot fail."""
    path = exported("openvino", "int8").files[0]
    core = openvino_core()
    model = core.read_model(str(path))
    model.reshape([1, 3, 64, 64])
    exact = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    image = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    np.testing.assert_allclose(open_openvino(path, 1)(image), exact(image)[0], atol=1e-5)

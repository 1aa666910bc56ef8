"""Every format by name. A new one is a file with a `FORMAT`, and a line here."""

from __future__ import annotations

from custom_networks.export import onnx_graph, openvino_ir, tensorrt, torch_program, torchscript
from custom_networks.export.common import Format

FORMATS: dict[str, Format] = {
    "torchscript": torchscript.FORMAT,
    "onnx": onnx_graph.FORMAT,
    "torch-export": torch_program.FORMAT,
    "openvino": openvino_ir.FORMAT,
    "tensorrt": tensorrt.FORMAT,
}

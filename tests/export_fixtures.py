"""Weights and exported files for the tests in `export/`, each made once in a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import toy_network
from toy_weights import write_record

from custom_networks.configuration.inference import load_source
from custom_networks.data.phantoms import write_phantoms
from custom_networks.export import FORMATS, Exported, export_model, onnx_graph, openvino_ir, quantise
from custom_networks.export.format import INPUT, Compute, ExportJob, Images
from custom_networks.export.images import listed_images
from custom_networks.export.onnx_graph import trace_onnx
from custom_networks.export.quantise import measure_ranges

BUNDLE = Path(__file__).resolve().parents[1] / "bundle"
SIZE = 64
LEAST = {"int8": 0.8, "bfloat16": 0.9, "float16": 0.9}
"""Dice that passes: masks of these weights are noise, all border."""


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of four phantoms of 96 x 96 pixels."""
    return write_phantoms(tmp_path_factory.mktemp("pictures") / "set", count=4, size=96) / "images"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Iterator[Path]:
    """Weights with settled statistics, every branch of the network in use, masks neither empty nor full."""
    folder = tmp_path_factory.mktemp("weights")
    path = folder / "model.pt"
    torch.manual_seed(0)
    network = toy_network()
    network.dual_attention.position[1].scale.data.fill_(0.5)
    network.dual_attention.channel[1].scale.data.fill_(0.5)
    for refine in network.refine:
        refine.mix_scale.data.fill_(0.5)
        refine.ffn_scale.data.fill_(0.5)
    torch.save(network.state_dict(), path)
    write_record(path, network, image_size=SIZE, dataset_dir="/home/someone/data")
    source = load_source(BUNDLE, path, None)
    batch = torch.stack([torch.from_numpy(source.prepare(name)) for name in listed_images(pictures)])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain average, so that one pass settles the statistics
    head = network.heads[0]
    with torch.no_grad():  # noise: statistics of four like images would amplify every rounding
        network.train()(torch.randn(2, 3, 128, 128))
        head.weight /= 2 * network.eval()(batch).std()
        head.bias -= network(batch).median()
    torch.save(network.state_dict(), path)
    yield path
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def opened() -> dict[tuple[str, str], Compute]:
    """What `exported` has exported, as the export itself opened the file to verify it, which takes seconds."""
    return {}


@pytest.fixture(scope="session")
def exported(
    checkpoint: Path,
    pictures: Path,
    dataset: Path,
    tmp_path_factory: pytest.TempPathFactory,
    opened: dict[tuple[str, str], Compute],
) -> Iterator[Callable[[str, str], Exported]]:
    """Export, each format and precision once in a session.

    The ONNX graph that most begin with is traced once, and the ranges of int8 are measured once.
    """
    folder = tmp_path_factory.mktemp("exported")
    done: dict[tuple[str, str], Exported] = {}
    graph = folder / "graph.onnx"

    def trace_once(job: ExportJob, path: Path, dtype: torch.dtype) -> None:
        assert not job.edge
        if dtype != torch.float32:
            trace_onnx(job, path, dtype)
            return
        if not graph.exists():
            trace_onnx(job, graph, dtype)
        shutil.copy(graph, path)

    ranges: list[Any] = []

    def measure_once(path: Path, images: Sequence[Images], name: str) -> Any:
        assert (len(images), name) == (3, INPUT)
        if not ranges:
            ranges.append(measure_ranges(path, images, name))
        return ranges[0]

    def export(name: str, precision: str) -> Exported:
        if (name, precision) not in done:
            output = folder / precision / FORMATS[name].name
            calibration = pictures if precision == "int8" else None
            validation = dataset / "images" if precision == "int8" else pictures
            limits = dict.fromkeys(("least_mean_dice", "least_dice"), LEAST.get(precision, 0.95))
            words = (BUNDLE, name, checkpoint, output, precision, calibration)
            format_ = FORMATS[name]

            def remember(path: Path, threads: int) -> Compute:
                opened[name, precision] = format_.open(path, threads)
                return opened[name, precision]

            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(FORMATS, name, replace(format_, open=remember))
                for module in (onnx_graph, openvino_ir):
                    patch.setattr(module, "trace_onnx", trace_once)
                patch.setattr(quantise, "measure_ranges", measure_once)
                done[name, precision] = export_model(*words, validation=validation, **limits)
        return done[name, precision]

    yield export
    shutil.rmtree(folder)

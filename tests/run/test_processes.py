"""Two processes on the CPU (gloo): what they must agree on, and what one of them alone may do."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import bundle_command, run_python
from networks import TOY_OVERRIDES, toy_network
from pipelines import training_config

from custom_networks import load_checkpoint
from custom_networks.processes import synchronised

LOW = {"validate#postprocessing#transforms#1#threshold": 0.3}
"""So that a network that has hardly learnt finds something, and the figures are not those of misses."""
BOTH = "['configs/train.json','configs/multi_gpu_train.json']"


@pytest.fixture(scope="module")
def together(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run of two epochs by two processes, in a folder of its own choice."""
    folder = tmp_path_factory.mktemp("together")
    knobs = {"max_epochs": 2, "batch_size": 1, "seed": 5, **LOW, "runs_dir": folder / "runs"}
    words = bundle_command(BOTH, folder, dataset, **knobs, **TOY_OVERRIDES)
    at = words.index("--output_dir")
    del words[at : at + 2]
    probe = str(Path(__file__).with_name("probe_rank.py"))
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--run_path", "--start_method", "fork"]
    result = run_python([*launch, probe, str(folder), *words[2:]])
    assert result.returncode == 0, result.stderr[-3000:]
    losses = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    (run,) = (folder / "runs").iterdir()
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {"folder": folder, "run": run, "rows": rows, "ranks": losses, "dataset": dataset, "out": result.stdout}


def test_one_folder_with_one_row_an_epoch(together: dict[str, Any]) -> None:
    assert [row["epoch"] for row in together["rows"]] == ["1", "2"]
    assert together["out"].count("8 training and 2 validation pairs") == 1
    weights = torch.load(together["folder"] / "models" / "model.pt", weights_only=True)
    assert not any(name.startswith("module.") for name in weights)


def test_loss_terms_are_means_over_both(together: dict[str, Any]) -> None:
    first, second = (rank["losses"] for rank in together["ranks"])
    assert first != second
    for epoch, row in enumerate(together["rows"]):
        mean = (sum(first[epoch]) + sum(second[epoch])) / (len(first[epoch]) + len(second[epoch]))
        assert float(row["loss"]) == pytest.approx(mean, rel=1e-5)


def test_order_of_the_images_follows_from_the_seed(together: dict[str, Any]) -> None:
    expected = torch.utils.data.DistributedSampler(range(8), 2, 0, seed=5)
    expected.set_epoch(1)
    assert together["ranks"][0]["order"] == list(expected)


def test_sharded_validation_is_that_of_one_process(together: dict[str, Any]) -> None:
    """Both shares are measured with the first process's statistics: the saved weights give the same figures."""
    network = toy_network()
    load_checkpoint(network, together["run"] / "last.pt")
    parser = training_config(
        dataset_dir=str(together["dataset"]), image_size=64, batch_size=2, seed=5, device="cpu", cache="none"
    )
    parser.update({**TOY_OVERRIDES, **LOW})
    evaluator = parser.get_parsed_content("validate#evaluator")
    evaluator.network.load_state_dict(network.state_dict())
    evaluator.run()
    assert 0 < evaluator.state.metrics["val_mean_dice"] < 1
    for name, value in evaluator.state.metrics.items():
        assert float(together["rows"][-1][name]) == pytest.approx(value, rel=1e-5), name
    statistics = [rank["statistics"] for rank in together["ranks"]]
    assert statistics[0] == statistics[1]


def test_batch_normalisation_is_synchronised_on_a_gpu_alone() -> None:
    """The layers are replaced here without a GPU; what they compute among processes needs one, and is PyTorch's."""
    network = toy_network()
    names, parameters = list(network.state_dict()), [id(each) for each in network.parameters()]
    assert synchronised(network, torch.device("cpu")) is network
    assert not any(isinstance(each, torch.nn.SyncBatchNorm) for each in network.modules())
    assert synchronised(network, torch.device("cuda")) is network  # what else refers to it has the new layers, too
    norms = [each for each in network.modules() if isinstance(each, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(each, torch.nn.SyncBatchNorm) for each in norms)
    assert list(network.state_dict()) == names
    assert [id(each) for each in network.parameters()] == parameters

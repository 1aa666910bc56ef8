from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from networks import TOY_OVERRIDES
from warm_process import run_warm

REPOSITORY = Path(__file__).resolve().parents[1]
BUNDLE = REPOSITORY / "bundle"
CONFIGS = BUNDLE / "configs"
FIXTURES = ("export_fixtures", "evaluation_fixtures", "prediction_fixtures")
SMALL = {"image_size": 64, "batch_size": 4, "num_workers": 0}


TOGETHER = {
    "files": ("export", "weights", "test_engines.py", "test_classes.py"),
    "processes": (
        *("bundle", "campaign", "evaluation", "experiment", "run", "test_predict_kills.py", "test_cli.py"),
        *("test_parser.py", "test_report.py", "test_fetching.py", "test_check_memory.py", "test_interactive.py"),
    ),
}
"""Folders and files of tests that one process works on: it keeps exported files, or a trained run and what forks."""
LONG = ("test_wheel.py", "test_fused.py", "test_benchmarks_limit.py", "test_report_in_browser.py", "test_slides.py")
"""Other files of ten seconds and more: begun next, so that no process is left with one while the others are done."""


def topic(file: str) -> str:
    """Say which of `TOGETHER` a file of tests belongs to; a file alone is its own topic."""
    parts = Path(file).parts
    return next((name for name, members in TOGETHER.items() if {*members} & {*parts}), file)


def pytest_configure(config: pytest.Config) -> None:
    """Load the shared fixtures, and torch with them, but where tests are only handed out; keep absl from harm.

    absl, which surface-distance loads, would close pytest's own stream: its handler holds the standard error of its
    import; where that is not the present one, it closes it as soon as `logging.config` shuts the handlers down, as
    every run of the bundle does, and all later tests fail.
    """
    if hasattr(config, "workerinput"):
        atexit.register(
            os._exit, 0
        )  # the last thing done: to take down all that a process has loaded takes ten seconds
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        gc.disable()  # until all is imported: a million objects that stay, gone through again and again
        for name in FIXTURES:
            config.pluginmanager.import_plugin(name)
    with contextlib.suppress(ImportError):
        from absl import logging

        logging.get_absl_handler().python_handler.stream = sys.__stderr__


def pytest_collection_finish() -> None:
    """Collect garbage from here on, of the tests alone."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what belongs together, then the long files, in front of the others, which pytest-randomly has shuffled."""
    topics = list(TOGETHER)

    def place(item: pytest.Item) -> int:
        name = topic(item.nodeid.split("::")[0])
        return topics.index(name) if name in topics else len(topics) + (item.path.name not in LONG)

    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests by `topic`, where they would be handed out by file."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByTopic(LoadFileScheduling):
        """Tests of a topic stay in one process."""

        def _split_scope(self, nodeid: str) -> str:
            return topic(super()._split_scope(nodeid))

    return ByTopic(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to repeat the order, which pytest's own `-q` hides."""
    seed = config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.write_line(f"In random order; the same again: pytest --randomly-seed={seed}")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The user's cache folder is left alone, by started processes too."""
    os.environ["SGDNET_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten phantoms of 64 x 64 pixels: 8 to train, 2 to validate in fold 0."""
    from custom_networks.data.phantoms import write_phantoms

    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", count=10, size=64)


@cache
def _empty_store() -> Path:
    """File of an MLflow store without runs: its tables, which take MLflow a second, are made once in a process."""
    from custom_networks.run.tracking import open_store

    file = Path(tempfile.mkdtemp()) / "mlflow.db"
    atexit.register(shutil.rmtree, file.parent, ignore_errors=True)
    open_store(f"sqlite:///{file}")
    return file


def store_in(folder: Path) -> str:
    """Put an MLflow store without runs into a folder; returns its address."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{shutil.copy(_empty_store(), folder / 'mlflow.db')}"


def bundle_command(config: str, folder: Path, dataset: Path, **knobs: object) -> list[str]:
    """Words after `python` of a bundle run that writes into `folder` alone."""
    settings = {
        "bundle_root": BUNDLE,
        "dataset_dir": dataset,
        **SMALL,
        "output_dir": folder / "run",
        "model_path": folder / "models" / "model.pt",
        "tracking_uri": store_in(folder),
        **knobs,
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return ["-m", "monai.bundle", "run", "training", "--config_file", config, *words]


def run_python(
    words: list[str], cwd: Path = BUNDLE, timeout: float = 240, cold: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in a process of its own: forked from one that has imported MONAI, or, cold, from nothing."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    if not cold:
        return run_warm(words, cwd, environment, timeout)
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture(scope="session")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run of three epochs through `python -m monai.bundle run training`, never interrupted."""
    folder = tmp_path_factory.mktemp("trained")
    result = run_python(bundle_command("configs/train.json", folder, dataset, max_epochs=3, **TOY_OVERRIDES))
    assert result.returncode == 0, result.stderr[-3000:]
    (folder / "stdout.txt").write_text(result.stdout)
    return folder


@pytest.fixture
def sgdnet(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the `sgdnet` command in this process: exit code, standard output, standard error."""
    from custom_networks.cli import main

    def run(*words: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run

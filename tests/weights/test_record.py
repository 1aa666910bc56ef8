"""What weights say of their training: the `.json` beside them, read in one place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from custom_networks.weights.record import setting_of, trained_size, training_of


@pytest.mark.parametrize("name", ["model.pt", "last.pt"])
def test_the_record_of_a_run_serves_both_its_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"settings": {"image_size": 128, "fold": 3}}))
    assert trained_size(tmp_path / name) == 128
    assert setting_of(tmp_path / name, "fold", 0) == 3
    assert setting_of(tmp_path / name, "seed", 7) == 7


def test_other_weights_in_the_folder_have_no_record(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"settings": {"image_size": 128}}))
    assert training_of(tmp_path / "other.pt") == {}
    assert trained_size(tmp_path / "other.pt") == 256


@pytest.mark.parametrize("text", ["", "[]", "{", '{"settings": 3}', '{"settings": {"image_size": "big"}}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    assert trained_size(tmp_path / "model.pt") == 256

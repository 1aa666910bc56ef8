"""What the processor can do, with oneDNN as it is, switched off, and limited from outside."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from custom_networks import processor

REPORT = """
import json, torch
from custom_networks.processor import bfloat16_pays, packs
print(json.dumps([packs(torch.float32), packs(torch.bfloat16), bfloat16_pays()]))
"""


@pytest.fixture
def nothing_said() -> Iterator[None]:
    processor._say.cache_clear()
    yield
    processor._say.cache_clear()


def test_types_that_onednn_does_not_convolve_are_not_packed() -> None:
    assert not processor.packs(torch.float64)
    assert not processor.packs(torch.int32)


def test_nothing_is_packed_and_bfloat16_does_not_pay_while_onednn_is_off() -> None:
    before = processor.packs(torch.float32), processor.bfloat16_pays()
    with torch.backends.mkldnn.flags(enabled=False):
        assert not processor.packs(torch.float32)
        assert not processor.bfloat16_pays()
    assert (processor.packs(torch.float32), processor.bfloat16_pays()) == before


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build has no oneDNN to limit")
def test_onednn_limited_to_avx2_packs_float32_alone() -> None:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    result = subprocess.run([sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [True, False, False]


@pytest.mark.parametrize(("limit", "left"), [("avx512_core", False), ("AVX512_CORE_AMX", True), ("DEFAULT", True)])
def test_emulated_bfloat16_does_not_pay(monkeypatch: pytest.MonkeyPatch, limit: str, left: bool) -> None:
    unlimited = processor.bfloat16_pays()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert processor.bfloat16_pays() == (unlimited and left)


@pytest.mark.usefixtures("nothing_said")
def test_what_does_not_pay_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), torch.backends.mkldnn.flags(enabled=False):
        assert [processor.computes_in_bfloat16(wanted) for wanted in (False, True, True)] == [False] * 3
    assert caplog.messages == ["amp: bfloat16 is not faster than float32 on this processor; float32 is used"]


def test_bfloat16_is_taken_where_it_pays_and_is_asked_for() -> None:
    assert processor.computes_in_bfloat16(True) == processor.bfloat16_pays()
    assert not processor.computes_in_bfloat16(False)

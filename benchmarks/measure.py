"""How everything here is measured.

Time: `time.perf_counter`, after a warm-up, the device synchronised before and after; the cases of a group take turns
(A, B, C, A, B, C, ...) in one process, so that a machine that slows down slows all of them; a sample repeats a call
until it lasts `MIN_SAMPLE` seconds; the median counts, minimum and maximum stand beside it.

Memory on a GPU: `torch.cuda.max_memory_allocated`. On a CPU: peak resident memory of a fresh child process for each
case, so that no case hides behind another's peak, and so that the memory of oneDNN, ONNX Runtime and OpenVINO counts
too, which torch's profiler does not see. The child returns its free memory to the system (`malloc_trim`) and resets
the kernel's high-water mark (`/proc/self/clear_refs`) before the call. Not `ru_maxrss` there: it can be neither reset
nor trusted in a child, which inherits its parent's. Other systems than Linux have `ru_maxrss` alone; the building of
the case may then count.

- `call_mib`: peak during the call beyond what was there before it (weights, inputs).
- `total_mib`: peak during the call beyond the bare process: weights, inputs, gradients, optimiser, activations.
"""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

MIN_SAMPLE = 0.02
NO_TIME = "no time left"
PAUSE = 0.05
"""Seconds between two samples on a CPU, for the other libraries' idle threads to stop spinning."""
MIB = 2**20
STATUS = Path("/proc/self/status")

Row = dict[str, Any]
Call = Callable[[], Any]


@dataclass(frozen=True)
class Settings:
    """What a run is asked for.

    Attributes:
        device: "cpu" or "cuda".
        threads: of torch, ONNX Runtime and OpenVINO on a CPU.
        rounds: samples of each case.
        quick: tiny sizes, which check the benchmark and measure nothing.
        sweep: whether the network room goes through sizes and batches.
        compile: whether the network room tries torch.compile.
        memory: whether peak memory is measured.
        keep_memory: whether a room's process keeps what it frees, as `sgdnet` does.
        deadline: `time.monotonic()` after which nothing more is started.
    """

    device: str = "cpu"
    threads: int = 1
    rounds: int = 7
    quick: bool = False
    sweep: bool = False
    compile: bool = False
    memory: bool = True
    keep_memory: bool = False
    deadline: float = math.inf


@dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes:
        name: what the line is called.
        build: makes weights and inputs and returns the call to measure. It is sent to a child process: a function of
            a module or a `functools.partial` of one.
        memory_warm_up: calls before the one whose memory is measured.
    """

    name: str
    build: Callable[[], Call]
    memory_warm_up: int = 0


class Unavailable(Exception):
    """What a case needs is not installed; said in the table."""


def synchronize(device: str) -> None:
    """Wait until the device has done its work."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute float32 as float32 on a GPU as well, for comparing numbers."""
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


# ---------------------------------------------------------------- time


def time_interleaved(
    calls: dict[str, Call], settings: Settings, failed: Callable[[str, Exception], None] | None = None
) -> dict[str, list[float]]:
    """Time calls in turns, after they have been warmed up.

    Args:
        calls: by name.
        settings: device, rounds, quick.
        failed: is told of a call that fails, for want of memory say, and the others go on; without it, all end.

    Returns:
        Seconds a call, one number for each round, by name; none of a call that failed.
    """
    pause = 0.0 if settings.quick or settings.device != "cpu" else PAUSE

    def sample(call: Call, repeats: int) -> float:
        synchronize(settings.device)
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        synchronize(settings.device)
        return (time.perf_counter() - start) / repeats

    repeats = dict.fromkeys(calls, 1)
    samples: dict[str, list[float]] = {name: [] for name in calls}

    def warm_up(name: str, call: Call) -> None:
        sample(call, 1)
        estimate = sample(call, 1)
        if not settings.quick:
            repeats[name] = max(1, math.ceil(MIN_SAMPLE / estimate))

    def measure(name: str, call: Call) -> None:
        time.sleep(pause)
        samples[name].append(sample(call, repeats[name]))

    for part in (warm_up, *[measure] * settings.rounds):
        for name in list(samples):
            try:
                part(name, calls[name])
            except Exception as error:
                if failed is None:
                    raise
                del samples[name]
                failed(name, error)
    return samples


def summarize(samples: Sequence[float]) -> Row:
    """Median, minimum and maximum in milliseconds of samples in seconds."""
    milliseconds = [1000 * seconds for seconds in samples]
    return {
        "median_ms": statistics.median(milliseconds),
        "min_ms": min(milliseconds),
        "max_ms": max(milliseconds),
        "samples_ms": milliseconds,
    }


# ---------------------------------------------------------------- memory


def _kilobytes(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


def _settled() -> float:
    """Resident MiB once free memory has gone back to the system; from here on the peak counts anew."""
    gc.collect()
    if not STATUS.exists():
        return _peak()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
    if trim is not None:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS") / 1024


def _peak() -> float:
    if STATUS.exists():
        return _kilobytes("VmHWM") / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


def _start_libraries() -> None:
    """One small convolution, product and backward pass, so that starting oneDNN and the threads costs no case."""
    image = torch.rand(1, 8, 16, 16, requires_grad=True)
    y = nn.Conv2d(8, 8, 3)(image).flatten(1)
    (y @ y.T).sum().backward()


def _weigh_here(case: Case, threads: int) -> Row:
    """Peak resident memory of a case in this process, which must be fresh."""
    gc.freeze()  # the modules' objects need not be looked through
    torch.set_num_threads(threads)
    _start_libraries()
    bare = _settled()
    call = case.build()
    for _ in range(case.memory_warm_up):
        call()
    before = _settled()
    result = call()
    peak = _peak()
    del result
    return {"call_mib": peak - before, "total_mib": peak - bare}


def _weigh_in_child(case: Case, threads: int) -> Row:
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:  # imports once; a child is a copy that has computed nothing yet
        context.set_forkserver_preload(["torch", "custom_networks", "benchmarks.networks"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_weigh_here, case, threads).result()


def _weigh_on_gpu(case: Case) -> tuple[Row, Call]:
    """Peak allocated memory of a case, and its call, which is not built a second time."""
    gc.collect()
    torch.cuda.empty_cache()
    bare = torch.cuda.memory_allocated()
    call = case.build()
    for _ in range(case.memory_warm_up):
        call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    result = call()
    torch.cuda.synchronize()
    peak = torch.cuda.max_memory_allocated()
    del result
    return {"call_mib": (peak - before) / MIB, "total_mib": (peak - bare) / MIB}, call


def build(case: Case, settings: Settings) -> tuple[Row, Call]:
    """Build a case and measure its peak memory, if that is wanted; see the module's header."""
    if settings.memory and settings.device.startswith("cuda"):
        return _weigh_on_gpu(case)
    row = _weigh_in_child(case, settings.threads) if settings.memory else {}
    return row, case.build()


# ---------------------------------------------------------------- a group of cases


def run_cases(cases: Sequence[Case], settings: Settings) -> tuple[list[Row], dict[str, Call], dict[str, Any]]:
    """Weigh cases one by one, then time them in turns.

    A case that fails, or for which no time is left, keeps its row, with the reason under `error`; nothing else stops.
    Weighing comes first: where memory does not suffice, a child dies of it and not the whole run.

    Args:
        cases: of one group, comparable with each other.
        settings: of the run.

    Returns:
        A row for each case, in order; the calls, and what the first call of each returned, by name, where it did.
    """
    rows: dict[str, Row] = {case.name: {"name": case.name} for case in cases}
    calls: dict[str, Call] = {}
    outputs: dict[str, Any] = {}

    def failed(name: str, error: Exception) -> None:
        rows[name]["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]

    for case in cases:
        try:
            if time.monotonic() > settings.deadline:
                raise Unavailable(NO_TIME)
            print(f"  {case.name}", file=sys.stderr, flush=True)
            weight, call = build(case, settings)
            rows[case.name] |= weight
            with exact_float32():
                outputs[case.name] = call()
            synchronize(settings.device)
            calls[case.name] = call
        except BrokenProcessPool:
            rows[case.name]["error"] = "the process was killed; not enough memory?"
        except Unavailable as error:
            rows[case.name]["error"] = str(error)
        except Exception as error:
            failed(case.name, error)
    for name, samples in time_interleaved(calls, settings, failed).items():
        rows[name] |= summarize(samples)
    return list(rows.values()), calls, outputs


def max_difference(actual: Any, expected: Any) -> float:
    """Largest absolute difference of two results: tensors, or sequences of tensors."""
    if isinstance(actual, Tensor):
        return (actual.detach().double() - expected.detach().double()).abs().max().item()
    return max(max_difference(a, e) for a, e in zip(actual, expected, strict=True))

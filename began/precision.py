"""Single or half precision of a pre-training: measured at its start, and kept from then on.

In mixed precision the layers compute in bfloat16. Weights, moments, losses, k and saved networks are single precision always.
"""

import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from began.errors import InputError
from began.files import StrPath
from began.pretraining_settings import AUTO, FLOAT32, MIXED

FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
"""Of a processor: what decides how fast networks are on it."""

BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")
"""Of FLAGS: what multiplies bfloat16, the fastest first."""

MIN_STEPS = 1_000
"""A shorter training is not worth the ten seconds that measuring takes."""

MEASURED_STEPS = 4
"""In either precision, in turn."""

MIN_GAIN = 1.1
"""How many times as fast mixed precision must be: noise shall not decide."""


def require_precision(path: StrPath, stored: str, asked: str) -> None:
    """Raises InputError where another precision is asked for than a training was begun with."""
    if asked not in (AUTO, stored):
        action = f"give --precision {stored} or leave it out, or choose another --name"
        raise InputError.about(path, f"a training in {stored}", f"one in {asked}, as --precision says", action)


def settle_precision(
    begun: str | None, asked: str, n_replicas: int, n_steps: int, measure: Callable[[], tuple[str, str]]
) -> tuple[str, str]:
    """Returns the precision of a training, that it was begun with where it was, and why.

    Args:
        begun: the precision that it was begun with; None: it begins now.
        asked: the precision of its settings.
        n_replicas, n_steps: devices that train together, and steps of the whole training.
        measure: returns the faster precision, and why, see `choose_precision`; called only where it may pay.
    """
    if begun is not None:
        return begun, "as this training began"
    if asked != AUTO:
        return asked, "as --precision says"
    possible, reason = expect_precision()
    if possible == FLOAT32:
        return possible, reason
    if n_replicas > 1:
        return FLOAT32, "on several devices, which could choose differently"
    if n_steps < MIN_STEPS:
        return FLOAT32, f"measuring does not pay for {n_steps} steps"
    return measure()


def expect_precision() -> tuple[str, str]:
    """Returns the precision that trainings on this machine take or, where it is mixed, measure; and why. Without measuring."""
    if flag := find_bfloat16():
        return MIXED, f"the processor has {flag}; measured when a training begins"
    if has_accelerator():
        return MIXED, "there is an accelerator; measured when a training begins"
    return FLOAT32, f"no {' or '.join(BFLOAT16_FLAGS)} and no accelerator here: bfloat16 would be several times slower"


def find_bfloat16() -> str:
    """Returns the flag of what multiplies bfloat16 in this processor, as Linux tells it, or nothing."""
    return next((flag for flag in BFLOAT16_FLAGS if flag in describe_processor()), "")


def has_accelerator() -> bool:
    """Tells whether Keras' backend sees a GPU, or another device that is no processor."""
    import keras

    return any(not device.startswith("cpu") for device in keras.distribution.list_devices())


def describe_processor() -> str:
    """Returns the name of the processor, and which of FLAGS it has, as Linux tells it; elsewhere its kind alone."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return ", ".join([name[1].strip() if name else platform.machine(), *(flag for flag in FLAGS if flag in text.split())])


def choose_precision(build: Callable[[], Any], batch: np.ndarray, report: Callable[[str], None]) -> tuple[str, str]:
    """Returns the faster precision for training what `build` makes on this machine, and why."""
    report(f"measuring steps in {FLOAT32} and in {MIXED}")
    gain = measure_gain(build, batch)
    return MIXED if gain >= MIN_GAIN else FLOAT32, f"a step in {MIXED} is {gain:.2f} times as fast as in {FLOAT32}"


def measure_gain(build: Callable[[], Any], batch: np.ndarray) -> float:
    """Returns how many times as fast a mixed step is: of the medians of steps in turn, after two that warm up."""
    models, seconds = {FLOAT32: build(), MIXED: build()}, {FLOAT32: [], MIXED: []}
    for repetition in range(2 + MEASURED_STEPS):
        for precision, model in models.items():
            model.precision = precision
            started = time.perf_counter()
            model.train_on_batch(batch)
            if repetition >= 2:
                seconds[precision].append(time.perf_counter() - started)
    return float(np.median(seconds[FLOAT32]) / np.median(seconds[MIXED]))

"""What a machine is going to run commands with, and what would make them faster."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

from began.startup import choose_backend, count_cores, start_backend
from experiments.evaluation.environment import describe_environment

THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS")


def describe_machine() -> list[str]:
    """Returns lines about devices, precision, threads and versions; starts the backend, whose word on devices counts."""
    start_backend()
    import keras
    from threadpoolctl import threadpool_info

    from began.precision import describe_processor, expect_precision

    found, cores = describe_environment(), count_cores()
    flags = [f"{name}={value}" for name, value in sorted(found["flags"].items())]
    pools = {f"{pool['internal_api']} {pool['num_threads']}" for pool in threadpool_info()}
    precision, reason = expect_precision()
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS") or f"{cores}, one per core that this process may use"
    return [
        f"devices: {', '.join(device.removeprefix('/physical_device:') for device in found['devices'] or [])}",
        f"cores: {cores} of {found['cpu_count']} for this process ({describe_processor()})",
        f"backend: {choose_backend()}",
        f"precision: {keras.config.dtype_policy().name}; of the pre-training {precision}, for {reason}",
        f"threads: {threads}; libraries of NumPy: {', '.join(sorted(pools))}; heads are trained on one each, side by side",
        f"versions: Python {found['python']}, " + ", ".join(f"{name} {value}" for name, value in found["versions"].items()),
        f"environment variables: {', '.join(flags)}",
    ]


def advise(devices: list[str], cores: int, n_cores: int, load: float, environment: Mapping[str, str]) -> list[str]:
    """Returns what would make commands faster on a machine.

    Args:
        devices: that the backend has found.
        cores, n_cores: that this process may use, and that the machine has.
        load: processes that want to run, the mean over the last minute.
        environment: variables of the environment.
    """
    advice = []
    if all("cpu" in device.lower() for device in devices):
        if environment.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
            advice.append("CUDA_VISIBLE_DEVICES hides all GPUs: unset it")
        elif shutil.which("nvidia-smi"):
            advice.append(
                "a GPU is there, but TensorFlow does not use it: pip install 'tensorflow[and-cuda]' (docs/distributed.md)"
            )
        else:
            advice.append("a GPU makes the pre-training much faster, and heads hardly (docs/distributed.md); none is there")
    if cores < n_cores:
        advice.append(f"this process may use {cores} of {n_cores} cores: a container, a job's limits or taskset hold it back")
    if load > cores:
        advice.append(f"other programs are running: {load:.1f} processes share {cores} cores")
    given = {name: environment.get(name, "") for name in THREADS}
    if limits := [f"{name}={value}" for name, value in given.items() if value.isdecimal() and 0 < int(value) < cores]:
        advice.append(f"{', '.join(limits)} leaves cores idle: unset it")
    if environment.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        advice.append("TF_ENABLE_ONEDNN_OPTS=0 turns off TensorFlow's fast kernels: unset it")
    return advice


def advise_here() -> list[str]:
    """Returns what would make commands faster here; after `describe_machine`, which starts the backend."""
    found: dict[str, Any] = describe_environment()
    return advise(found["devices"] or [], count_cores(), found["cpu_count"], os.getloadavg()[0], os.environ)

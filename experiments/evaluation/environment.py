"""What a run ran on: commit, versions, threads, determinism flags, devices and date. Imports nothing heavy."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "tensorflow tensorflow-cpu jax jaxlib keras hyperas hyperopt librosa soundfile soxr numpy scipy pandas scikit-learn "
    "matplotlib pyspark opensmile"
).split()
_FLAGS = (
    "OMP_NUM_THREADS TF_NUM_INTRAOP_THREADS TF_NUM_INTEROP_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS TF_DETERMINISTIC_OPS "
    "TF_CUDNN_DETERMINISTIC TF_ENABLE_ONEDNN_OPTS TF_FORCE_GPU_ALLOW_GROWTH TF_XLA_FLAGS XLA_FLAGS "
    "JAX_DEFAULT_MATMUL_PRECISION KERAS_BACKEND PYTHONHASHSEED CUDA_VISIBLE_DEVICES"
).split()


_CODE = ("began", "classifiers", "experiments", "requirements.txt")
"""What decides a result, beside data and settings: results/ changes with every run."""


def describe_environment() -> dict[str, Any]:
    """Returns what this process runs on; devices are listed only where Keras' backend is loaded already."""
    commit, uncommitted = _git_state()
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "uncommitted_changes": uncommitted,
        "python": platform.python_version(),
        "versions": versions,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "devices": _devices(),
        "flags": {name: os.environ[name] for name in _FLAGS if name in os.environ},
        "op_determinism": _op_determinism(),
    }


def _git_state() -> tuple[str | None, bool | None]:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(_PROJECT), *arguments], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        # A copy of the project unpacked inside some other repository has no commit of its own.
        if Path(git("rev-parse", "--show-toplevel")).resolve() != _PROJECT:
            return None, None
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=normal", "--", *_CODE))
    except (OSError, subprocess.SubprocessError):
        return None, None


def _devices() -> list[str] | None:
    jax = sys.modules.get("jax")
    if jax is not None and os.environ.get("KERAS_BACKEND") == "jax":
        return [device.device_kind for device in jax.devices()]
    tensorflow = sys.modules.get("tensorflow")
    config = getattr(tensorflow, "config", None)
    if config is None:
        return None
    names = []
    for device in config.list_physical_devices():
        details = config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        names.append(details.get("device_name", device.name))
    return names


def _op_determinism() -> bool | None:
    # TensorFlow can be told publicly, but asked only here.
    config = sys.modules.get("tensorflow.python.framework.config")
    is_enabled = getattr(config, "is_op_determinism_enabled", None)
    return None if is_enabled is None else bool(is_enabled())

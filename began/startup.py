"""The start of every command: settings of the libraries below, and TensorFlow, reproducible and without its start-up notes."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from began.errors import InputError
from began.files import is_file, is_folder, is_there

BACKENDS = ("tensorflow", "jax")
"""Keras' backends that networks run on; heads are trained by TensorFlow alone."""

_NOTES = (
    "All log messages before absl::InitializeLog",
    "oneDNN custom operations are on",
    "Could not find cuda drivers",
    "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
)
"""What TensorFlow 2.21 prints at every start, at whatever log level; the last two where it could use a GPU, and there is no
driver of one."""


def set_environment() -> None:
    """Sets what TensorFlow and Keras read when they are imported, whatever the user's own defaults are.

    Keras' ~/.keras/keras.json can name another backend, precision, epsilon and order of channels, and KERAS_MAX_EPOCHS ends a
    training early: results would be others, under the same settings. The backend alone can be chosen, by KERAS_BACKEND.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # start-up notes would bury the progress lines
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")  # a GPU would multiply float32 with ten bits
    os.environ["KERAS_HOME"] = os.devnull  # below it no keras.json can be, and Keras cannot leave one
    if "NUMBA_CACHE_DIR" not in os.environ and not _may_write(os.environ.get("XDG_CACHE_HOME") or "~/.cache"):
        # librosa cannot be imported where Numba finds no place to keep what it compiles. Nobody else may write there.
        os.environ["NUMBA_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"):
        os.environ.pop(name, None)


def _may_write(folder: str) -> bool:
    """Tells whether a folder can be written to, or made where it is missing.

    Path's methods raise where nobody has a home, and in a folder of another user that may not be entered.
    """
    nearest = os.path.expanduser(folder)  # noqa: PTH111
    if nearest.startswith("~"):
        return False
    nearest = os.path.abspath(nearest)  # noqa: PTH100
    while not is_there(nearest):
        nearest = os.path.dirname(nearest)  # noqa: PTH120
    return is_folder(nearest) and os.access(nearest, os.W_OK | os.X_OK)


def count_cores() -> int:
    """Returns how many cores this process may use: fewer than the machine has, under `taskset`, in a container or a job."""
    from joblib import cpu_count

    return cpu_count()


def choose_backend(backends: Sequence[str] = BACKENDS) -> str:
    """Returns the backend that KERAS_BACKEND names, or else TensorFlow, without importing it.

    Args:
        backends: those that what follows can run on.
    Raises:
        InputError: another one, or one that is not installed.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    expected, action = " or ".join(backends), "unset that variable (unset KERAS_BACKEND)"
    if backend not in backends:
        raise InputError.about("environment variable KERAS_BACKEND", repr(backend), f"{expected} for this", action)
    if importlib.util.find_spec(backend) is None:
        found = f"{backend!r}, which is not installed"
        raise InputError.about("environment variable KERAS_BACKEND", found, expected, f"pip install {backend}, or {action}")
    return backend


def check_keras() -> None:
    """Imports Keras, and refuses defaults of the user's own with which networks compute something else.

    Commands have set them aside (`set_environment`); a program that takes features with this project has not.

    Raises:
        InputError: names the file, or the variable, that they come from.
    """
    choose_backend()
    home = os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras")  # noqa: PTH111 - Path's raises where there is no home
    file = Path(home, "keras.json")
    expected = f"backend {' or '.join(BACKENDS)}, floatx float32, image_data_format channels_last"
    action = "correct that file, or what your program sets with keras.config"
    try:
        import keras
    except (ImportError, ValueError, TypeError, AttributeError) as error:  # another backend, unknown values
        if not is_file(file):
            raise  # an installation that is broken, which says so
        raise InputError.about(file, f"what Keras cannot be imported with ({error})", expected, action) from error
    backend, *others = keras.backend.backend(), keras.config.floatx(), keras.config.image_data_format()
    if backend not in BACKENDS or others != ["float32", "channels_last"]:
        found = f"backend {backend}, floatx {others[0]}, image_data_format {others[1]}"
        raise InputError.about(file, found, expected, action)


def start_backend(backends: Sequence[str] = BACKENDS) -> None:
    """Imports Keras' backend, and makes TensorFlow's operations deterministic (which costs nothing on a CPU here).

    To be called once, when the arguments and paths of a script have been checked: the import takes seconds.

    Args:
        backends: see `choose_backend`, also for errors.
    """
    set_environment()
    if choose_backend(backends) != "tensorflow":
        import keras  # noqa: F401

        return
    os.environ["TF_DETERMINISTIC_OPS"] = "1"  # says the same as the call below, and is recorded with a run
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.experimental.enable_op_determinism()
            tf.config.experimental.enable_tensor_float_32_execution(False)  # float32 on a GPU, too
            tf.config.list_physical_devices()  # which looks for a GPU now, and not when nobody holds its notes back
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode("utf-8", "replace").splitlines():
                if not any(note in line for note in _NOTES):
                    print(line, file=sys.stderr)

"""TensorFlow's start: reproducible, and without its start-up notes on the console."""

import os
import sys
import tempfile

_NOTES = ("All log messages before absl::InitializeLog", "oneDNN custom operations are on")
"""What TensorFlow 2.21 prints at every start, at whatever log level."""


def start_backend() -> None:
    """Imports Keras' backend, and makes TensorFlow's operations deterministic (which costs nothing on a CPU here).

    To be called once, when the arguments and paths of a script have been checked: the import takes seconds.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
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
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode("utf-8", "replace").splitlines():
                if not any(note in line for note in _NOTES):
                    print(line, file=sys.stderr)

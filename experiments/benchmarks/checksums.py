"""What it costs to compare cached features with their checksums, whenever they are opened: seconds beside those to embed them.

Both sides are measured in turn, on the same files; the cache has just been written, so that no disk is waited for.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from began.arrays import check_npy, open_npy
from began.startup import count_cores, start_backend
from experiments.benchmarks import alternate, make_row, write_speech
from experiments.evaluation.data import ALTERED_SPEEDS, SPEEDS


def benchmark(repetitions: int = 5, n_files: int = 40, base_filters: int = 8) -> list[dict[str, Any]]:
    """Returns the rows: of features of single seconds, and of whole utterances with all their copies."""
    start_backend()

    from began.encoder import freeze
    from began.networks import build_encoder
    from began.representation import represent_corpus, represent_utterances
    from began.spectrogram import SpectrogramConfig
    from began.utterance_encoder import UtteranceEncoder

    frozen = freeze(build_encoder(base_filters=base_filters, seed=0), SpectrogramConfig.of("normalized"), "untrained")
    copies: dict[str, Any] = {"speeds": SPEEDS, "noisy_speeds": ALTERED_SPEEDS, "channel_speeds": ALTERED_SPEEDS}
    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        paths = write_speech(Path(folder), n_files)
        of_seconds = partial(represent_corpus, frozen, paths)
        of_utterances = partial(represent_utterances, UtteranceEncoder.of(frozen), paths, **copies)
        for what, represent in (("seconds", of_seconds), ("utterances and their copies", of_utterances)):
            taken, n_bytes = _measure(represent, Path(folder), repetitions)
            note = f"{n_files} files, {n_bytes / 1e6:.1f} MB, n = {base_filters}, {count_cores()} cores; goal under 0.03"
            rows.append(make_row(f"checksums of cached {what} vs embedding", taken["check"], taken["embed"], "s", note))
    return rows


def _measure(represent: Callable[[Path], Any], folder: Path, repetitions: int) -> tuple[dict[str, np.ndarray], int]:
    """Returns the seconds to embed anew and to check what is cached, and how many bytes that is.

    Args:
        represent: computes features into a cache's folder, or opens them there.
    """
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        represent(Path(kept))
        (path,) = Path(kept).glob("*/features.npy")
        found = represent(Path(kept))
        features = getattr(found, "features", found)

        def embed() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as cache_dir:
                represent(Path(cache_dir))

        def check() -> None:
            check_npy(path, *open_npy(path, features.dtype, features.shape[1:]))

        return alternate({"embed": embed, "check": check}, repetitions), features.nbytes

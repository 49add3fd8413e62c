"""Embedding utterances with all their copies: ours beside one copy after the other, each from its file and with Keras."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from began.startup import count_cores, start_backend
from experiments.benchmarks import alternate, make_row, write_speech
from experiments.evaluation.data import ALTERED_SPEEDS, SPEEDS


def benchmark(repetitions: int = 3, n_files: int = 40, base_filters: int = 8) -> list[dict[str, Any]]:
    """Returns the row: files per second, for files of two to four seconds."""
    start_backend()

    from began.encoder import freeze
    from began.networks import build_encoder
    from began.representation import represent_utterances
    from began.spectrogram import SpectrogramConfig
    from began.utterance_encoder import UtteranceEncoder

    frozen = freeze(build_encoder(base_filters=base_filters, seed=0), SpectrogramConfig.of("normalized"), "untrained")
    encoder = UtteranceEncoder.of(frozen)
    with_keras = replace(encoder, graph=None)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        paths = write_speech(Path(folder), n_files)

        def ours() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as cache_dir:
                copies: dict[str, Any] = {"speeds": SPEEDS, "noisy_speeds": ALTERED_SPEEDS, "channel_speeds": ALTERED_SPEEDS}
                represent_utterances(encoder, paths, cache_dir, **copies)

        def one_by_one() -> None:
            for number, path in enumerate(paths):
                for speed in SPEEDS:
                    with_keras.embed_file(path, speed)
                for n, speed in enumerate((*ALTERED_SPEEDS, *ALTERED_SPEEDS)):
                    with_keras.embed_file(path, speed, (number, n), n >= len(ALTERED_SPEEDS))

        seconds = alternate({"ours": ours, "one by one": one_by_one}, repetitions)
    rates = {side: n_files / taken for side, taken in seconds.items()}
    note = f"{len(SPEEDS)} speeds, {2 * len(ALTERED_SPEEDS)} altered copies, n = {base_filters}, {count_cores()} cores; goal 2"
    return [make_row("embedding utterances and their copies", rates["ours"], rates["one by one"], "files/s", note)]

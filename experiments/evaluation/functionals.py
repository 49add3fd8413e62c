"""Hand-crafted features of whole utterances: functionals, statistics over time of what phoneticians measure."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

import numpy as np

from began.errors import InputError
from began.startup import count_cores
from experiments.corpora.record import Corpus
from experiments.evaluation.data import Data, show_embedding

STATISTICS = (np.mean, np.std, np.min, np.max)

OPENSMILE = {"egemaps": "eGeMAPSv02", "compare_2016": "ComParE_2016"}
"""Method -> feature set of openSMILE.  Source: Eyben et al. 2016; Schuller et al. 2016."""


def find_missing_package(method: str) -> str | None:
    """Returns the package that a method needs and that is not installed, if there is one."""
    return "opensmile" if method in OPENSMILE and importlib.util.find_spec("opensmile") is None else None


def compute_functionals(corpus: Corpus, front_end: str, method: str = "functionals") -> Data:
    """Returns a corpus with hand-crafted features.

    Args:
        corpus: whose files are read.
        front_end: what is heard of them (`began.front_end`). The band that "normalized" keeps in spectrograms is not limited
            here: on EmoDB that scored 4 points less.
        method: "functionals": statistics of librosa's MFCCs, their derivatives, energy, pitch and spectrum. Of OPENSMILE:
            "egemaps", 88 features, or "compare_2016", 6,373.
    Returns:
        Data with one "chunk" per utterance; features float32, shape (n_utterances, n_functionals).
    Raises:
        InputError: a file that cannot be read, or no openSMILE for a method that needs it.
    """
    from joblib import Parallel, delayed

    if find_missing_package(method):
        found, action = "no package opensmile", "install it: pip install opensmile"
        raise InputError.about(f"hand-crafted features {method}", found, "it, for openSMILE's feature sets", action)
    # openSMILE ends a process in which it has two threads, or TensorFlow beside it: it gets processes that have neither.
    kind, n_workers = ("processes", max(2, count_cores())) if method in OPENSMILE else ("threads", count_cores())
    paths = list(corpus.utterances["path"])
    in_workers = Parallel(n_workers, prefer=kind, return_as="generator")
    described = in_workers(delayed(_describe_file)(path, front_end, method) for path in paths)
    features = np.stack(list(show_embedding(described, len(paths))))
    return Data.of_utterances(corpus, features.astype(np.float32))


def _describe_file(path: str, front_end: str, method: str) -> np.ndarray:
    from began.audio import SAMPLE_RATE
    from began.front_end import stream_speech

    waveform = np.concatenate([*stream_speech(path, front_end)])
    if method not in OPENSMILE:
        return _describe_waveform(waveform)
    features = _open_smile(method).process_signal(waveform, SAMPLE_RATE).to_numpy()[0]
    return np.nan_to_num(features)  # of what has no voice


@cache
def _open_smile(method: str) -> Any:
    import opensmile

    return opensmile.Smile(opensmile.FeatureSet[OPENSMILE[method]], opensmile.FeatureLevel.Functionals)


def _describe_waveform(waveform: np.ndarray) -> np.ndarray:
    import librosa

    from began.audio import SAMPLE_RATE

    common = {"n_fft": 512, "hop_length": 160}
    waveform = np.pad(waveform, (0, max(0, 2048 - len(waveform))))
    mfcc = librosa.feature.mfcc(y=waveform, sr=SAMPLE_RATE, n_mfcc=20, **common)
    log_mel = librosa.power_to_db(librosa.feature.melspectrogram(y=waveform, sr=SAMPLE_RATE, n_mels=40, **common))
    pitch_hz = librosa.yin(waveform, fmin=60, fmax=500, sr=SAMPLE_RATE, frame_length=1024, hop_length=160)
    rows = [
        mfcc,
        librosa.feature.delta(mfcc, mode="nearest"),
        log_mel,
        np.log(pitch_hz)[np.newaxis],
        librosa.feature.rms(y=waveform, frame_length=512, hop_length=160),
        librosa.feature.zero_crossing_rate(waveform, frame_length=512, hop_length=160),
        librosa.feature.spectral_centroid(y=waveform, sr=SAMPLE_RATE, **common),
        librosa.feature.spectral_rolloff(y=waveform, sr=SAMPLE_RATE, **common),
    ]
    return np.concatenate([statistic(row, axis=1) for row in rows for statistic in STATISTICS])

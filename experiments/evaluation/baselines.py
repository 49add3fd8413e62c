"""What a frozen representation is held against without a network: no learning, and classical features."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.corpora.record import Corpus
from experiments.evaluation.evaluate import NO_TRIALS, Data, Outcome
from experiments.evaluation.protocols import Split

STATISTICS = (np.mean, np.std, np.min, np.max)


def predict_majority(
    data: Data, task: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int, folder: Path
) -> Outcome:
    """Predicts the most frequent class among the training utterances: what knowing nothing scores."""
    from sklearn.dummy import DummyClassifier

    return _fit_utterances(data, task, splits, lambda seed: DummyClassifier(strategy="prior"))


def classify_functionals(
    data: Data, task: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int, folder: Path
) -> Outcome:
    """Fits a linear support vector machine on functionals; its C has the best mean UAR on the inner folds."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    targets = data.targets(task)
    best: dict[str, float] = {}
    for split in splits:
        scores = {}
        for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
            model = make_pipeline(StandardScaler(), SVC(kernel="linear", C=c, break_ties=True))
            scores[c] = np.mean(
                [
                    balanced_accuracy_score(
                        targets[inner.validation],
                        model.fit(data.features[inner.train], targets[inner.train]).predict(data.features[inner.validation]),
                    )
                    for inner in split.inner
                ]
            )
        best[split.fold] = max(scores, key=scores.get)

    return _fit_utterances(
        data,
        task,
        splits,
        lambda split: make_pipeline(StandardScaler(), SVC(kernel="linear", C=best[split.fold], break_ties=True)),
    )


def _fit_utterances(data: Data, task: str, splits: Sequence[Split], make: Callable[[Any], Any]) -> Outcome:
    targets, n_classes = data.targets(task), len(data.corpus.labels)
    scores = []
    for split in splits:
        model = make(split).fit(data.features[split.fitting], targets[split.fitting])
        scores.append(score_classes(model, data.features[split.test], n_classes))
    return Outcome(scores, NO_TRIALS, pd.DataFrame({"fold": [split.fold for split in splits], "task": task, "epoch": 1}))


def score_classes(model: Any, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns a fitted classifier's scores, which sum to one: float32, shape (n, n_classes).

    A support vector machine's are ordered as its decisions are, so that the highest is what it predicts (where it breaks
    ties between classes by them: `break_ties`); they are not calibrated. Classes that it has not been trained on score 0.

    Args:
        model: of scikit-learn, fitted to class indices.
        features: what it predicts from, n rows.
    """
    from scipy.special import softmax

    if hasattr(model, "decision_function"):
        decision = model.decision_function(features)
        if decision.ndim == 1:  # of two classes
            decision = np.stack([-decision, decision], axis=1)
        known = softmax(decision, axis=1)
    else:
        known = model.predict_proba(features)
    scores = np.zeros((len(features), n_classes), np.float32)
    scores[:, model.classes_] = known
    return scores


def compute_functionals(corpus: Corpus, progress: Callable[[Iterable], Iterable]) -> Data:
    """Returns a corpus with classical features: statistics of librosa's MFCCs, their derivatives, energy, pitch and spectrum.

    Returns:
        Data with one "chunk" an utterance; features float32, shape (n_utterances, n_functionals).
    """
    from began.audio import read_audio

    features = np.stack([_describe_waveform(read_audio(path)) for path in progress(list(corpus.utterances["path"]))])
    return Data(corpus, features.astype(np.float32), np.arange(len(features)))


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

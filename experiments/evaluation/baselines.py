"""What a frozen representation is compared with that needs no network: no learning, and hand-made features."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.startup import count_cores
from classifiers.metrics import unweighted_average_recall
from experiments.corpora.record import Corpus
from experiments.evaluation.conditions import Condition
from experiments.evaluation.data import Data, Outcome, Trainer, show_embedding
from experiments.evaluation.options import Settings
from experiments.evaluation.protocols import Inner, Split
from experiments.evaluation.runs import record_search

STATISTICS = (np.mean, np.std, np.min, np.max)
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Values of C that the inner folds choose from."""


def prepare(condition: Condition, corpus: Corpus, settings: Settings) -> tuple[Data, Trainer]:
    """Returns the data and the trainer of the methods "majority" and "functionals"."""
    if condition.method == "majority":
        return Data.of_utterances(corpus), predict_majority
    return compute_functionals(corpus, condition.front_end), classify_functionals


def predict_majority(
    data: Data, task: str, splits: Sequence[Split], settings: Settings, run_number: int, search_folder: Path
) -> Outcome:
    """Predicts the most frequent class among the training utterances: what knowing nothing scores."""
    shares = [np.bincount(data.targets(task)[split.fitting], minlength=data.n_outputs(task)) for split in splits]
    scores = [np.tile(counts / counts.sum(), (len(split.test), 1)) for counts, split in zip(shares, splits, strict=True)]
    return Outcome([of_fold.astype(np.float32) for of_fold in scores])


def classify_functionals(
    data: Data, task: str, splits: Sequence[Split], settings: Settings, run_number: int, search_folder: Path
) -> Outcome:
    """Fits a linear support vector machine on functionals; its C has the best mean UAR on the inner folds."""
    targets = data.targets(task)

    def score(penalty: float, inner: Inner) -> float:
        model = make_classifier(penalty).fit(data.features[inner.train], targets[inner.train])
        return unweighted_average_recall(targets[inner.validation], model.predict(data.features[inner.validation]))

    def search(split: Split) -> pd.DataFrame:
        losses = [1.0 - np.mean([score(penalty, inner) for inner in split.inner]) for penalty in PENALTIES]
        return pd.DataFrame({"trial": range(len(losses)), "loss": losses, "status": "ok", "C": PENALTIES})

    scores, losses = [], {}
    for split in splits:
        best = record_search(search_folder, split, task, partial(search, split))
        losses[split.fold] = float(best["loss"])
        model = make_classifier(best["C"]).fit(data.features[split.fitting], targets[split.fitting])
        scores.append(score_classes(model, data.features[split.test], data.n_outputs(task)))
    return Outcome(scores, losses)


def make_classifier(penalty: float) -> Any:
    """Returns a linear support vector machine with a C, behind a standardisation; not fitted."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(kernel="linear", C=penalty, break_ties=True))


def score_classes(model: Any, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns the scores of a support vector machine, which sum to one: float32, shape (n, n_classes).

    They are ordered as its decisions are, so that the highest is what it predicts (where it breaks ties between classes by
    them: `break_ties`); they are not calibrated. Classes that it has not been trained on score 0.

    Args:
        model: of scikit-learn, fitted to class indices.
        features: what it predicts from, n rows.
    """
    from scipy.special import softmax

    decision = model.decision_function(features)
    if decision.ndim == 1:  # of two classes
        decision = np.stack([-decision, decision], axis=1)
    scores = np.zeros((len(features), n_classes), np.float32)
    scores[:, model.classes_] = softmax(decision, axis=1)
    return scores


def compute_functionals(corpus: Corpus, front_end: str) -> Data:
    """Returns a corpus with functionals: statistics of librosa's MFCCs, their derivatives, energy, pitch and spectrum.

    Args:
        corpus: whose files are read.
        front_end: what is heard of them (`began.front_end`). The band that "normalized" keeps in spectrograms is not limited
            here: on EmoDB that scored 4 points less.
    Returns:
        Data with one "chunk" per utterance; features float32, shape (n_utterances, n_functionals).
    """
    from joblib import Parallel, delayed

    paths = list(corpus.utterances["path"])
    describe = Parallel(count_cores(), prefer="threads", return_as="generator")  # NumPy lets go of the interpreter
    features = np.stack(list(show_embedding(describe(delayed(_describe_file)(path, front_end) for path in paths), len(paths))))
    return Data.of_utterances(corpus, features.astype(np.float32))


def _describe_file(path: str, front_end: str) -> np.ndarray:
    import librosa

    from began.audio import SAMPLE_RATE
    from began.front_end import stream_speech

    waveform, common = np.concatenate([*stream_speech(path, front_end)]), {"n_fft": 512, "hop_length": 160}
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

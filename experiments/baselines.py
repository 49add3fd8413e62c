"""What a frozen representation is held against: no learning, classical features, and the same network trained as a whole."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.corpora.base import Corpus
from experiments.evaluation import Data, Outcome
from experiments.protocols import Split

NO_TRIALS = pd.DataFrame({"fold": pd.Series(dtype=str), "kind": pd.Series(dtype=str), "loss": pd.Series(dtype=float)})
STATISTICS = (np.mean, np.std, np.min, np.max)


def predict_majority(data: Data, kind: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int,
                     folder: Path) -> Outcome:
    """Predicts the most frequent class among the training utterances: what knowing nothing scores."""
    from sklearn.dummy import DummyClassifier

    return _fit_utterances(data, kind, splits, lambda seed: DummyClassifier(strategy="prior"))


def classify_functionals(data: Data, kind: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int,
                         folder: Path) -> Outcome:
    """Fits a linear support vector machine on functionals; its C has the best mean UAR on the inner folds."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    targets = data.targets(kind)
    best: dict[str, float] = {}
    for split in splits:
        scores = {}
        for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
            model = make_pipeline(StandardScaler(), SVC(kernel="linear", C=c))
            scores[c] = np.mean([
                balanced_accuracy_score(targets[inner.validation],
                                        model.fit(data.features[inner.train], targets[inner.train])
                                        .predict(data.features[inner.validation])) for inner in split.inner])
        best[split.fold] = max(scores, key=scores.get)

    return _fit_utterances(data, kind, splits, lambda split: make_pipeline(
        StandardScaler(), SVC(kernel="linear", C=best[split.fold])))


def _fit_utterances(data: Data, kind: str, splits: Sequence[Split], make: Callable[[Any], Any]) -> Outcome:
    targets, n_classes = data.targets(kind), len(data.corpus.labels)
    scores = []
    for split in splits:
        model = make(split).fit(data.features[split.fitting], targets[split.fitting])
        scores.append(score_classes(model, data.features[split.test], n_classes))
    return Outcome(scores, NO_TRIALS, pd.DataFrame({"fold": [split.fold for split in splits], "kind": kind, "epoch": 1}))


def score_classes(model: Any, features: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns a fitted classifier's scores, which sum to one: float32, shape (n, n_classes).

    A support vector machine's are ordered as its decisions are, so that the highest is what it predicts; they are not
    calibrated. Classes that it has not been trained on score 0.

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
    rows = [mfcc, librosa.feature.delta(mfcc, mode="nearest"), log_mel, np.log(pitch_hz)[np.newaxis],
            librosa.feature.rms(y=waveform, frame_length=512, hop_length=160),
            librosa.feature.zero_crossing_rate(waveform, frame_length=512, hop_length=160),
            librosa.feature.spectral_centroid(y=waveform, sr=SAMPLE_RATE, **common),
            librosa.feature.spectral_rolloff(y=waveform, sr=SAMPLE_RATE, **common)]
    return np.concatenate([statistic(row, axis=1) for row in rows for statistic in STATISTICS])


def load_spectrograms(corpus: Corpus, config: Any, tail: str) -> Data:
    """Returns a corpus with its spectrograms as features, float32, (n_chunks, n_bins, n_frames, 1): input of whole networks."""
    from began.audio import cut_chunks, read_audio
    from began.spectrogram import compute_spectrograms

    of_files = [compute_spectrograms(cut_chunks(read_audio(path), tail=tail), config)
                for path in corpus.utterances["path"]]
    utterance = np.repeat(np.arange(len(of_files)), [len(chunks) for chunks in of_files])
    return Data(corpus, np.concatenate(of_files)[..., np.newaxis], utterance)


def train_whole_network(make_encoder: Callable[[], Any], learning_rate: float) -> Callable[..., Outcome]:
    """Returns a trainer of encoder and head together, on spectrograms: from scratch, or fine-tuning a trained encoder.

    The first inner fold (the others would triple the time) stops the training and gives the number of epochs for the final
    fit, as all of them do for the heads.

    Args:
        make_encoder: returns a fresh encoder, with the weights to start from.
        learning_rate: of Adam, for all weights.
    """

    def train(data: Data, kind: str, splits: Sequence[Split], settings: argparse.Namespace, run_number: int,
              folder: Path) -> Outcome:
        import keras
        from tqdm import tqdm

        targets, scores, history = data.targets(kind), [], []
        for number, split in enumerate(tqdm(splits, desc=f"run {run_number}, whole networks", unit="fold")):
            seed = int(np.random.default_rng([settings.seed, run_number, number]).integers(2**31))
            parts = {**split.inner[0]._asdict(), "fitting": split.fitting, "test": split.test}
            rows = {part: data.chunks_of(utterances) for part, utterances in parts.items()}
            keras.utils.set_random_seed(seed)
            probe = _build_whole(make_encoder(), data, rows["train"], kind, learning_rate, seed)
            stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=3)
            fitted = probe.fit(data.features[rows["train"]], targets[rows["train"]], batch_size=32, epochs=settings.epochs,
                               validation_data=(data.features[rows["validation"]], targets[rows["validation"]]),
                               callbacks=[stopping], verbose=0)
            n_epochs = int(np.argmin(fitted.history["val_loss"])) + 1
            keras.utils.set_random_seed(seed)
            model = _build_whole(make_encoder(), data, rows["fitting"], kind, learning_rate, seed)
            fitted = model.fit(data.features[rows["fitting"]], targets[rows["fitting"]], batch_size=32, epochs=n_epochs,
                               verbose=0)
            scores.append(model.predict(data.features[rows["test"]], batch_size=64, verbose=0))
            history.append(pd.DataFrame({"fold": split.fold, "kind": kind, "epoch": np.arange(1, n_epochs + 1),
                                         "loss": fitted.history["loss"]}))
        return Outcome(scores, NO_TRIALS, pd.concat(history, ignore_index=True))

    return train


def _build_whole(encoder: Any, data: Data, rows: np.ndarray, kind: str, learning_rate: float, seed: int) -> Any:
    """Returns encoder and default head as one model; the head's input is standardised with the start weights' statistics."""
    import keras

    from classifiers.heads import build_head, measure_normalization

    features = keras.Model(encoder.input, encoder.get_layer("map").output)
    maps = features.predict(data.features[rows], batch_size=64, verbose=0)
    normalization = measure_normalization(maps, np.arange(len(maps)))
    head = build_head(kind, maps.shape[1:], len(data.corpus.labels), None, seed, normalization)
    model = keras.Model(encoder.input, head(features.output))
    model.trainable = True
    model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="sparse_categorical_crossentropy")
    return model

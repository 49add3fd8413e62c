"""A corpus made ready for a method: cached features of a frozen encoder, spectrograms, or classical functionals."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from experiments.corpora.record import Corpus
from experiments.evaluation.evaluate import Data, Trainer


def represent(
    corpus: Corpus,
    encoder_path: Path,
    results_dir: Path,
    features: str = "map",
    tail: str = "overlap",
    hop_seconds: float = 1.0,
    random: bool = False,
    speed: float = 1.0,
    masked_copies: int = 0,
) -> Data:
    """Returns a corpus with a frozen encoder's features, computed once and cached under the results folder.

    Args:
        corpus: whose files are embedded.
        encoder_path: encoder.keras of the pre-training.
        results_dir: holds cache/.
        features: one of `began.representation.OUTPUTS`.
        tail: see `began.audio.cut_chunks`.
        hop_seconds: distance of two chunks' starts.
        random: take initial weights in place of the trained ones.
        speed: see `began.audio.stream_audio`.
        masked_copies: of every chunk, with masks of their own (`began.spectrogram.mask_spectrograms`), for training alone.
    """
    from began.audio import SAMPLE_RATE
    from began.encoder import load_frozen_encoder, load_random_encoder
    from began.representation import represent_corpus
    from began.startup import start_backend

    start_backend()
    load = load_random_encoder if random else load_frozen_encoder
    encoder = load(encoder_path, features)
    versions = [
        represent_corpus(
            encoder,
            list(corpus.utterances["path"]),
            results_dir / "cache" / "features",
            tail=tail,
            hop_samples=round(hop_seconds * SAMPLE_RATE),
            speed=speed,
            mask_seed=seed,
            progress=show_embedding,
        )
        for seed in (None, *range(masked_copies))
    ]
    if not masked_copies:
        return Data(corpus, versions[0].features, versions[0].utterance)  # mapped, not in memory
    utterance = np.concatenate([version.utterance for version in versions])
    return Data(
        corpus,
        np.concatenate([version.features for version in versions]),
        utterance,
        is_copy=np.arange(len(utterance)) >= len(versions[0].utterance),
    )


def show_embedding(files: Iterable) -> Iterable:
    """Wraps an iteration over files in a progress bar."""
    from tqdm import tqdm

    return tqdm(files, desc="embedding", unit="file")


def prepare_table(corpus: Corpus, arguments: argparse.Namespace) -> tuple[Data, Trainer | None]:
    """Returns what a table's options ask for, see `prepare_method`."""
    return prepare_method(
        arguments.method,
        arguments.encoder,
        corpus,
        arguments,
        features=arguments.features,
        normalize_speakers=arguments.normalize_speakers,
    )


def prepare_method(
    method: str,
    encoder_path: Path,
    corpus: Corpus,
    arguments: argparse.Namespace,
    *,
    random: bool = False,
    features: str = "map",
    hop_seconds: float = 1.0,
    masked_copies: int = 0,
    normalize_speakers: bool = False,
    copies: bool = True,
    correlations: bool = True,
    learning_rate: float | None = None,
) -> tuple[Data, Trainer | None]:
    """Returns the data that a method works on, and its trainer (None: the heads' own).

    Args:
        method: "head", on a frozen encoder's features; "statistics", see `utterance_statistics`; "whole", encoder and head
            trained together on spectrograms; "functionals", a support vector machine on classical features;
            "majority".
        encoder_path: encoder.keras; gives the weights, or with `random` the sizes alone.
        corpus: the corpus.
        arguments: with results_dir and tail.
        random: start from initial weights.
        features, hop_seconds, masked_copies: of the method "head": see `represent`.
        normalize_speakers, copies, correlations: of the method "statistics": see there.
        learning_rate: of the method "whole"; None takes `experiments.evaluation.whole_network.LEARNING_RATE`.
    """
    from experiments.evaluation import baselines

    if method == "head":
        return represent(
            corpus,
            encoder_path,
            arguments.results_dir,
            features,
            arguments.tail,
            hop_seconds,
            random,
            masked_copies=masked_copies,
        ), None
    if method == "statistics":
        return _prepare_statistics(encoder_path, corpus, arguments, random, normalize_speakers, copies, correlations)
    if method == "whole":
        return _prepare_whole(encoder_path, corpus, arguments.tail, random, learning_rate)
    if method == "majority":
        return _take_labels(corpus), baselines.predict_majority
    return baselines.compute_functionals(corpus, show_embedding), baselines.classify_functionals


def _prepare_statistics(
    encoder_path: Path,
    corpus: Corpus,
    arguments: argparse.Namespace,
    random: bool,
    normalize_speakers: bool,
    copies: bool,
    correlations: bool,
) -> tuple[Data, Trainer]:
    from experiments.evaluation.utterance_pooling import Recordings, check_speakers
    from experiments.evaluation.utterance_statistics import SPEEDS, choose_speeds, make_trainer

    speakers = corpus.utterances["speaker"].to_numpy() if normalize_speakers else None
    if normalize_speakers:
        check_speakers(speakers)
    speeds = choose_speeds(len(corpus.utterances)) if copies else ()
    if copies and len(speeds) < len(SPEEDS):
        print(f"{len(corpus.utterances)} utterances: {len(speeds)} copies of each in place of {len(SPEEDS)}")

    def record(speed: float) -> Recordings:
        data = represent(corpus, encoder_path, arguments.results_dir, "frames", arguments.tail, random=random, speed=speed)
        return Recordings(data.features, data.utterance)

    recordings = [record(speed) for speed in (1.0, *speeds)]
    return _take_labels(corpus), make_trainer(recordings, speakers, correlations)


def _take_labels(corpus: Corpus) -> Data:
    """Returns a row an utterance with nothing in it, for trainers that look at labels alone or bring features of their own."""
    n_utterances = len(corpus.utterances)
    return Data(corpus, np.zeros((n_utterances, 1), np.float32), np.arange(n_utterances))


def _prepare_whole(
    encoder_path: Path, corpus: Corpus, tail: str, random: bool, learning_rate: float | None
) -> tuple[Data, Trainer]:
    from began.encoder import read_config, reset_weights
    from began.network_file import load_network
    from began.startup import start_backend
    from experiments.evaluation.whole_network import LEARNING_RATE, load_spectrograms, train_whole_network

    start_backend()
    encoder = load_network(encoder_path)
    data = load_spectrograms(corpus, read_config(encoder_path), tail)
    return data, train_whole_network(reset_weights(encoder) if random else encoder, learning_rate or LEARNING_RATE)

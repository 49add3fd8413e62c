"""A corpus made ready for a method: cached features of a frozen encoder, spectrograms, or classical functionals."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.corpora.base import Corpus
from experiments.evaluation import Data, Trainer

METHODS = ("head", "whole", "functionals", "majority")

WHOLE_LEARNING_RATE = 5e-4
"""Of networks trained as a whole. Assumption: fits both from scratch and fine-tuning within 30 epochs."""


def represent(corpus: Corpus, encoder_path: Path, results_dir: Path, features: str = "map", tail: str = "overlap",
              hop_seconds: float = 1.0, random: bool = False) -> Data:
    """Returns a corpus with a frozen encoder's features, computed once and cached under the results folder.

    Args:
        corpus: whose files are embedded.
        encoder_path: encoder.keras of the pre-training.
        results_dir: holds cache/.
        features: "map", "embedding" or "blocks".
        tail: see `began.audio.cut_chunks`.
        hop_seconds: distance of two chunks' starts.
        random: take initial weights in place of the trained ones.
    """
    from began.audio import SAMPLE_RATE
    from began.representation import load_frozen_encoder, load_random_encoder, represent_corpus
    from began.startup import start_backend

    start_backend()
    load = load_random_encoder if random else load_frozen_encoder
    representation = represent_corpus(load(encoder_path, features), list(corpus.utterances["path"]),
                                      results_dir / "cache" / "features", tail=tail,
                                      hop_samples=round(hop_seconds * SAMPLE_RATE), progress=show_embedding)
    return Data(corpus, representation.features, representation.utterance)


def show_embedding(files: Iterable) -> Iterable:
    """Wraps an iteration over files in a progress bar."""
    from tqdm import tqdm

    return tqdm(files, desc="embedding", unit="file")


def prepare_method(method: str, encoder_path: Path, corpus: Corpus, arguments: argparse.Namespace, *, random: bool = False,
                   features: str = "map") -> tuple[Data, Trainer | None]:
    """Returns the data that a method works on, and its trainer (None: the heads' own).

    Args:
        method: "head", on a frozen encoder's features; "whole", encoder and head trained together on spectrograms;
            "functionals", a support vector machine on classical features; "majority".
        encoder_path: encoder.keras; gives the weights, or with `random` the sizes alone.
        corpus: the corpus.
        arguments: with results_dir and tail.
        random: start from initial weights.
        features: of the method "head".
    """
    from experiments import baselines

    if method == "head":
        return represent(corpus, encoder_path, arguments.results_dir, features, arguments.tail, random=random), None
    if method == "whole":
        return _prepare_whole(encoder_path, corpus, arguments.tail, random)
    data = baselines.compute_functionals(corpus, show_embedding)
    return data, baselines.classify_functionals if method == "functionals" else baselines.predict_majority


def _prepare_whole(encoder_path: Path, corpus: Corpus, tail: str, random: bool) -> tuple[Data, Trainer]:
    from began.representation import load_network, read_config, reset_weights
    from began.startup import start_backend
    from experiments import baselines

    start_backend()

    def make_encoder() -> Any:
        encoder = load_network(encoder_path)
        return reset_weights(encoder) if random else encoder

    data = baselines.load_spectrograms(corpus, read_config(encoder_path), tail)
    return data, baselines.train_whole_network(make_encoder, WHOLE_LEARNING_RATE)

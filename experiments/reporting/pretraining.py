"""Pre-trained networks under a results folder: their history, what they make of speech, and maps of their embedding."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from began.files import read_attached_json
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from experiments.evaluation import runs


@dataclass(frozen=True)
class Pretraining:
    """One pre-training's run folder.

    Attributes:
        folder: of the run.
        config: the content of config.json, empty where there is none.
        history: the content of history.csv.
    """

    folder: Path
    config: dict[str, Any]
    history: pd.DataFrame

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def is_saved(self) -> bool:
        """True once the networks are saved."""
        return (self.folder / "encoder.keras").is_file()

    @cached_property
    def spectrogram(self) -> SpectrogramConfig:
        """The spectrograms that the networks were trained with."""
        return SpectrogramConfig.from_dict(read_attached_json(self.folder / "encoder.keras", "spectrogram"))

    def load(self, network: str) -> Any | None:
        """Returns ``encoder``, ``decoder`` or ``generator`` as a Keras model, None where it was not saved."""
        from began.network_file import load_network

        path = self.folder / f"{network}.keras"
        return load_network(path) if path.is_file() else None

    def reconstruct(self, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the spectrograms of chunks, and what encoder and decoder make of them.

        Args:
            chunks: float32, shape (n, 16000).
        Returns:
            Twice float32, shape (n, n_bins, n_frames); None where no decoder was saved.
        """
        spectrograms = compute_spectrograms(chunks, self.spectrogram)
        encoder, decoder = self.load("encoder"), self.load("decoder")
        if decoder is None:
            return spectrograms, None
        return spectrograms, np.asarray(decoder(encoder(spectrograms[..., np.newaxis])))[..., 0]

    def generate(self, n: int, seed: int = 0) -> np.ndarray | None:
        """Returns n generated spectrograms, float32, shape (n, n_bins, n_frames); None without a generator."""
        return self._generate(np.random.default_rng(seed).uniform(-1, 1, (n, self._noise_size)))

    def interpolate(self, n: int, seed: int = 0) -> np.ndarray | None:
        """Returns what the generator makes of n points on the line between two noises."""
        first, last = np.random.default_rng(seed).uniform(-1, 1, (2, self._noise_size))
        return self._generate(first + np.linspace(0, 1, n)[:, np.newaxis] * (last - first))

    @cached_property
    def _generator(self) -> Any | None:
        return self.load("generator")

    @property
    def _noise_size(self) -> int:
        return self._generator.input_shape[-1] if self._generator is not None else 1

    def _generate(self, noise: np.ndarray) -> np.ndarray | None:
        return None if self._generator is None else np.asarray(self._generator(noise.astype(np.float32)))[..., 0]

    def embed(self, chunks: np.ndarray) -> np.ndarray:
        """Returns the embedding of chunks, float32, shape (n, h)."""
        from began.encoder import load_frozen_encoder

        return load_frozen_encoder(self.folder / "encoder.keras", output="embedding").embed(chunks)


def find_pretrainings(results_dir: str | os.PathLike) -> list[Pretraining]:
    """Returns the pre-trainings under a results folder that have a history: with saved networks first, BEGANs before others."""
    found = []
    for path in sorted(Path(results_dir).glob("pretrain_librispeech/*/history.csv")):
        history, config = runs.read_table(path), path.parent / "config.json"
        if len(history):
            found.append(Pretraining(path.parent, runs.read_json(config) if config.is_file() else {}, history))
    return sorted(found, key=lambda one: (not one.is_saved, not one.config.get("adversarial", True)))


def summarise_pretrainings(pretrainings: list[Pretraining]) -> pd.DataFrame:
    """Returns a row a pre-training: settings, and where it stands."""
    rows = []
    for one in pretrainings:
        last, best = one.history.iloc[-1], one.history["convergence_measure"].min()
        rows.append(
            {
                "name": one.name + (" (synthetic speech)" if one.config.get("synthetic") else ""),
                "generator": "yes" if one.config.get("adversarial", True) else "none",
                "gamma": one.config.get("gamma", ""),
                "filters n": one.config.get("base_filters", ""),
                "epochs": f"{last['epoch']:g}",
                "steps": f"{last['step']:.0f}",
                "L(x)": f"{last['reconstruction_loss']:.4f}",
                "M_global": f"{last['convergence_measure']:.4f}",
                "lowest": f"{best:.4f}",
                "networks": "saved" if one.is_saved else "not yet",
            }
        )
    return pd.DataFrame(rows)


def project(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns a t-SNE map of features, shape (n, 2): neighbours stay neighbours, distances mean little."""
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    scaled = StandardScaler().fit_transform(features)
    perplexity = float(np.clip(len(features) / 4, 2, 30))
    # A thousand short rounds: threads would spend more time waiting for one another than working.
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(scaled)


def neighbour_agreement(
    features: np.ndarray, labels: pd.Series, apart: pd.Series | None = None, n_neighbours: int = 10
) -> tuple[float, float]:
    """Returns how often near neighbours share a label, and how often any two points do: percent both.

    Args:
        features: shape (n, h); standardised here.
        apart: a category for every point; only neighbours of another category count (another speaker, another utterance).
    """
    from sklearn.metrics import pairwise_distances
    from sklearn.preprocessing import StandardScaler

    distances = pairwise_distances(StandardScaler().fit_transform(features))
    labels = labels.to_numpy()
    forbidden = np.eye(len(labels), dtype=bool)
    if apart is not None:
        forbidden |= apart.to_numpy()[:, np.newaxis] == apart.to_numpy()
    same = labels[:, np.newaxis] == labels
    distances[forbidden] = np.inf
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :n_neighbours]
    allowed = np.isfinite(np.take_along_axis(distances, nearest, axis=1))
    agreeing = np.take_along_axis(same, nearest, axis=1)[allowed]
    return 100 * float(agreeing.mean()), 100 * float(same[~forbidden].mean())

"""Pre-trained networks under a results folder: their history, what they make of speech, and maps of their embedding."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from began.encoder import load_frozen_encoder
from began.errors import InputError
from began.files import StrPath
from began.keras_file import read_attached_json
from began.network_file import load_network
from began.published_networks import ENCODER
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from experiments.evaluation.result_files import read_json, read_table

MEASURED = ("epoch", "step", "reconstruction_loss", "convergence_measure")
"""Columns of history.csv that every training has."""


@dataclass(frozen=True)
class Pretraining:
    """One pre-training's run folder, with the content of config.json (empty where there is none) and of history.csv."""

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
        path = self.folder / f"{network}.keras"
        return load_network(path) if path.is_file() else None

    def reconstruct(self, chunks: np.ndarray) -> dict[str, np.ndarray]:
        """Returns "real" and, where a decoder was saved, "reconstructed" spectrograms of chunks, float32, shape (n, 16000).

        Both are float32, shape (n, n_bins, n_frames).
        """
        spectrograms = compute_spectrograms(chunks, self.spectrogram)
        decoder = self.load("decoder")
        if decoder is None:
            return {"real": spectrograms}
        made = decoder(self.load("encoder")(spectrograms[..., np.newaxis]))
        return {"real": spectrograms, "reconstructed": np.asarray(made)[..., 0]}

    def generate(self, n: int) -> dict[str, np.ndarray]:
        """Returns spectrograms "generated" from noise and "interpolated" on a line between two noises; {} without a generator.

        Both are float32, shape (n, n_bins, n_frames).
        """
        generator = self.load("generator")
        if generator is None:
            return {}
        noise = np.random.default_rng(0).uniform(-1, 1, (n, generator.input_shape[-1]))
        line = noise[0] + np.linspace(0, 1, n)[:, np.newaxis] * (noise[1] - noise[0])
        made = {"generated": noise, "interpolated": line}
        return {name: np.asarray(generator(points.astype(np.float32)))[..., 0] for name, points in made.items()}

    def embed(self, chunks: np.ndarray) -> np.ndarray:
        """Returns the embedding of chunks, float32, shape (n, h)."""
        return load_frozen_encoder(self.folder / "encoder.keras", output="embedding").embed(chunks)


def find_pretrainings(results_dir: StrPath) -> list[Pretraining]:
    """Returns the pre-trainings under a results folder that have a history.

    Those with saved networks are first; of them, that of the published encoder, then other BEGANs, by name.
    """
    found = []
    for path in Path(results_dir).glob("pretrain_librispeech/*/history.csv"):
        history, config = read_table(path), path.parent / "config.json"
        if wrong := [name for name in MEASURED if not pd.api.types.is_numeric_dtype(history.get(name))]:
            damage = f"no numbers in {', '.join(wrong)}"
            raise InputError.about(path, damage, ", ".join(MEASURED), "remove it, and run the pre-training again")
        if len(history):
            found.append(Pretraining(path.parent, read_json(config) if config.is_file() else {}, history))
    return sorted(found, key=_rank)


def _rank(one: Pretraining) -> tuple[bool, bool, bool, str]:
    return not one.is_saved, one.name != ENCODER.parent.name, not one.config.get("adversarial", True), one.name


def summarise_pretrainings(pretrainings: list[Pretraining]) -> pd.DataFrame:
    """Returns one row per pre-training: settings, and where it stands."""
    rows = []
    for one in pretrainings:
        last, config = one.history.iloc[-1], one.config
        row = {
            "name": one.name + (" (synthetic speech)" if config.get("synthetic") else ""),
            "generator": "yes" if config.get("adversarial", True) else "none",
            "gamma": config.get("gamma", ""),
            "filters n": config.get("base_filters", ""),
            "epochs": f"{last['epoch']:g}",
            "steps": f"{last['step']:.0f}",
            "L(x)": f"{last['reconstruction_loss']:.4f}",
            "M_global": f"{last['convergence_measure']:.4f}",
            "lowest": f"{one.history['convergence_measure'].min():.4f}",
            "networks": "saved" if one.is_saved else "not in this folder",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def project(features: np.ndarray) -> np.ndarray:
    """Returns a t-SNE map of features, shape (n, 2): neighbours stay neighbours, distances mean little."""
    perplexity = float(np.clip(len(features) / 4, 2, 30))
    # A thousand short rounds: threads would spend more time waiting for one another than working.
    with threadpool_limits(1):
        tsne = TSNE(perplexity=perplexity, init="pca", random_state=0)
        return tsne.fit_transform(StandardScaler().fit_transform(features))


def neighbour_agreement(features: np.ndarray, labels: pd.Series, apart: pd.Series | None = None) -> tuple[float, float]:
    """Returns how often the ten nearest neighbours, in features of shape (n, h), share a label, and how often any two do.

    Both are in percent.

    Only neighbours of another category of `apart` count (another speaker, another utterance).
    """
    search = NearestNeighbors(n_neighbors=len(features) - 1).fit(StandardScaler().fit_transform(features))
    others = search.kneighbors(return_distance=False)  # of each point all others, the nearest first
    categories = np.arange(len(features)) if apart is None else apart.to_numpy()
    same = [
        labels.to_numpy()[row[categories[row] != categories[point]]] == labels.iloc[point] for point, row in enumerate(others)
    ]
    nearest = np.concatenate([row[:10] for row in same])
    return 100 * float(nearest.mean()), 100 * float(np.concatenate(same).mean())

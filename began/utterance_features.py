"""Statistics of whole utterances, or of windows of them, as named features: one row each, for any classifier."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from began.audio import SAMPLE_RATE
from began.components import hash_components, read_components
from began.encoder import N_MEL_BANDS, load_frozen_encoder, read_config
from began.errors import InputError
from began.files import StrPath, sha256_of
from began.front_end import FRONT_ENDS, find_speech, find_window_speech, locate_speech, stream_windows
from began.published_networks import ENCODER
from began.spectrogram import stream_spectrogram
from began.utterance_encoder import SPREAD, STATISTICS, UtteranceEncoder

CORRELATIONS = "correlations"
FEATURES = (*STATISTICS, CORRELATIONS)
"""Statistics that features can be made of; correlations are those between the principal components of every block."""


WINDOW_SECONDS, HOP_SECONDS = 3.0, 1.0
"""Windows of a recording, by default: about the length of the utterances that heads are trained on."""


def add_window_options(parser: argparse.ArgumentParser, which: str) -> None:
    """Adds --window and --hop to a command's options; `which` says of which windows they are."""
    window = f"length of windows, {which} (default: {WINDOW_SECONDS:g})"
    parser.add_argument("--window", type=float, metavar="SECONDS", help=window)
    hop = f"distance of two windows' starts (default: {HOP_SECONDS:g}, or the window where that is shorter)"
    parser.add_argument("--hop", type=float, metavar="SECONDS", help=hop)


def choose_windows(window_seconds: float | None, hop_seconds: float | None) -> tuple[float, float]:
    """Returns length and distance of windows, as --window and --hop give them, or the defaults in place of None.

    Without a distance, windows shorter than HOP_SECONDS follow each other without gap or overlap.

    Raises:
        InputError: they are not usable.
    """
    window_seconds = WINDOW_SECONDS if window_seconds is None else window_seconds
    hop_seconds = min(HOP_SECONDS, window_seconds) if hop_seconds is None else hop_seconds
    if not 0.5 <= window_seconds <= 60 or not 0.1 <= hop_seconds <= window_seconds:
        expected = "a window of 0.5 to 60 s and a hop of 0.1 s to the window"
        raise InputError.about("windows", f"--window {window_seconds:g} --hop {hop_seconds:g}", expected, "give other lengths")
    return window_seconds, hop_seconds


@dataclass(frozen=True)
class UtteranceFeatures:
    """A frozen encoder as a function from sound to the values of some statistics: of blocks, channels and mel bands.

    Attributes:
        encoder: over any length.
        statistics: some of FEATURES.
    """

    encoder: UtteranceEncoder
    statistics: tuple[str, ...] = SPREAD

    @functools.cached_property
    def columns(self) -> np.ndarray:
        """The chosen of the encoder's statistics: int, ascending."""
        return np.flatnonzero([name.split()[1] in self.statistics for name in self.encoder.statistics])

    @functools.cached_property
    def names(self) -> list[str]:
        """Of the features, such as block1_deviation_channel0_band12, or block1_correlations_component0_component12."""
        names, seen = [], {}
        for name in self.encoder.statistics[self.columns]:
            number = seen[name] = seen.get(name, -1) + 1
            of_row = ("component", "component") if name.endswith(CORRELATIONS) else ("channel", "band")
            names.append(f"{name.replace(' ', '_')}_{of_row[0]}{number}_{of_row[1]}")
        return [f"{name}{row}" for row in range(N_MEL_BANDS) for name in names]

    def select(self, statistics: np.ndarray) -> np.ndarray:
        """Returns the features, float32 (n_features,), of all statistics of an utterance, of `UtteranceEncoder.feature_shape`.

        They have half precision, as those that come from a cache.
        """
        return statistics[..., self.columns].astype("<f2").astype(np.float32).ravel()

    def embed_file(self, path: StrPath) -> np.ndarray:
        """Returns the features of a sound file, float32 (n_features,); for errors see `began.audio.stream_audio`."""
        return self.select(self.encoder.embed_file(path))

    def embed_speech(self, blocks: Iterable[np.ndarray]) -> np.ndarray:
        """Returns the features, float32 (n_features,), of what the front end left: consecutive blocks at 16 kHz."""
        return self.select(self.encoder.embed(stream_spectrogram(blocks, self.encoder.config)))

    def embed_windows(
        self,
        path: StrPath,
        window_seconds: float,
        hop_seconds: float,
        on_pause: Callable[[float, float], None] = lambda start, end: None,
    ) -> Iterator[tuple[float, float, np.ndarray]]:
        """Yields start and end in seconds, and the features, of the windows of a file's speech, each an utterance of its own.

        The last window ends with the speech; speech that is shorter than a window is one. But for the front end "literal",
        pauses at the ends of a window are cut off; windows without speech are left out
        (`began.front_end.find_window_speech`).

        Args:
            on_pause: is told start and end in seconds of each window that is left out.
        """
        speech = locate_speech(path, self.encoder.config.front_end)
        is_long = speech.end - speech.start > round(window_seconds * SAMPLE_RATE)
        gain = find_speech(path).gain / speech.gain if is_long else 1.0
        for start, end, window in stream_windows(path, speech, window_seconds, hop_seconds):
            found = find_window_speech(window, gain) if is_long else slice(len(window))
            if found.stop == 0:
                on_pause(start, end)
            else:
                heard = window if self.encoder.config.front_end == "literal" else window[found]
                yield start, end, self.embed_speech([heard])


def open_features(
    encoder: StrPath | None = None, *, front_end: str = "normalized", statistics: Sequence[str] = SPREAD
) -> UtteranceFeatures:
    """Returns a saved encoder as a function from sound to features; it stays open for further calls.

    Args:
        encoder: encoder.keras as the pre-training writes it; None: the published one.
        front_end: what it is fed with, one of `began.front_end.FRONT_ENDS`.
        statistics: some of FEATURES. The mean, which knows level and microphone, is left out by default, as by the heads.
    Raises:
        InputError: no such statistics or front end, not an encoder of this project, or correlations of one whose components
            are not beside it.
    """
    chosen = (statistics,) if isinstance(statistics, str) else tuple(statistics)
    for name, found, known in (("statistics", chosen, FEATURES), ("front_end", (front_end,), FRONT_ENDS)):
        if not found or not set(found) <= set(known):
            raise InputError.about(name, ", ".join(map(str, found)) or "none", f"some of {', '.join(known)}", "correct it")
    path = Path(ENCODER if encoder is None else encoder)
    read_config(path)  # which says what is wrong with the file itself
    components_sha256 = hash_components(read_components(path)) if CORRELATIONS in chosen else ""
    return UtteranceFeatures(_open(path, front_end, sha256_of(path), components_sha256), chosen)


@functools.lru_cache(maxsize=4)
def _open(path: Path, front_end: str, sha256: str, components_sha256: str) -> UtteranceEncoder:
    """Returns an encoder; the hashes are of what is opened, so that others under the same name are opened, too."""
    encoder = load_frozen_encoder(path)
    return UtteranceEncoder.of(encoder, front_end, read_components(path) if components_sha256 else None)

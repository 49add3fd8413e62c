"""Whole sound files to emotions, for predictors that read utterances: at constant memory, however long the file.

A file is read once for each speed that the head was trained with, and the probabilities are averaged; its emotion over time
comes from windows of a few seconds, each read as an utterance of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from began.audio import SAMPLE_RATE, load_recording, measure_seconds
from began.encoder import N_MEL_BANDS
from began.errors import InputError, counted
from began.files import StrPath
from began.front_end import (
    Speech,
    find_window_speech,
    locate_speech,
    measure_remaining_gain,
    shorten_pauses,
    stream_speech,
    stream_windows,
)
from began.media_fragments import describe_path
from began.spectrogram import SpectrogramConfig, stream_spectrogram
from began.utterance_encoder import UtteranceEncoder, run_on_any_length
from classifiers.calibration import measure_distances
from classifiers.head_parameters import choose_statistics
from classifiers.heads import as_columns
from classifiers.prediction import Prediction

ENOUGH_TO_ADAPT = 10
"""Recordings that are needed to adapt to them: on EmoDB as recorded, ten cost nothing, five 1.5 points (docs/method.md)."""


class UtteranceReader:
    """A predictor's network as a function from files to scores.

    Args:
        model: as `build_predictor` of `classifiers.predictor` makes it of a head that reads utterances.
        config: spectrogram settings.
        parameters: of the head.
        speeds: that a file is read at; the first is 1.
        adapt_to: recordings of one speaker or one room, without labels: the mean of their statistics is brought to that of the
            training part, and so is whatever is scored. Under `ENOUGH_TO_ADAPT` of them it does not pay.
    Raises:
        InputError: too few recordings to adapt to, or one that cannot be read.
    """

    def __init__(
        self,
        model: Any,
        config: SpectrogramConfig,
        parameters: dict[str, Any],
        speeds: Sequence[float] = (1.0,),
        adapt_to: Sequence[Path] | None = None,
    ) -> None:
        self._head, self.config, self._speeds = model.get_layer("head"), config, speeds
        self._encoder = UtteranceEncoder(model.get_layer("bands"), config, "")
        self._columns = choose_statistics(parameters, self._encoder.statistics)
        self._normalization = self._head.get_layer("normalization").get_weights()[:2]  # mean and variance
        self._shifts = np.zeros((len(speeds), 1, 1, 1), np.float32) if adapt_to is None else self._measure_shifts(adapt_to)

    def _measure_shifts(self, paths: Sequence[Path]) -> np.ndarray:
        """Returns what brings the statistics of recordings to those of the training part: float32, (n_speeds, 40, 1, n)."""
        check_enough(paths)
        trained = self._normalization[0].reshape(N_MEL_BANDS, 1, len(self._columns))
        return trained - sum(self._embed(load_recording(path))[0] for path in paths) / np.float32(len(paths))

    def _embed(self, path: StrPath) -> tuple[np.ndarray, float]:
        """Returns a file's statistics at each speed, float32 (n_speeds, 40, 1, n), and how many seconds of it are heard."""
        front_end = self.config.front_end
        gain = 1.0 if front_end == "literal" else measure_remaining_gain(path, front_end)
        heard = [self._hear(stream_speech(path, front_end, speed), gain, speed) for speed in self._speeds]
        return np.stack([statistics for statistics, _ in heard]), heard[0][1]

    def _hear(self, blocks: Iterable[np.ndarray], gain: float, speed: float = 1.0) -> tuple[np.ndarray, float]:
        """Returns the statistics of speech, float32 (40, 1, n), and the seconds that are heard of it, long pauses shortened.

        The head has hardly met any in its training.
        """
        n_samples = 0

        def count(heard: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            nonlocal n_samples
            for block in heard:
                n_samples += len(block)
                yield block

        heard = blocks if self.config.front_end == "literal" else shorten_pauses(blocks, gain, speed)
        statistics = self._encoder.embed(stream_spectrogram(count(heard), self.config))[..., self._columns]
        return statistics, n_samples / SAMPLE_RATE

    def score_file(self, path: StrPath) -> tuple[np.ndarray, float, float]:
        """Returns the mean scores over the speeds, float64 (d,), the distance of the file as recorded, and the seconds heard.

        For errors see `began.audio.stream_audio`; for the distance, `classifiers.calibration.measure_distances`.
        """
        embedded, seconds = self._embed(path)
        statistics = embedded + self._shifts
        scores = as_columns(run_on_any_length(self._head, statistics)).mean(axis=0, dtype=np.float64)
        return scores, float(measure_distances(statistics[:1], *self._normalization)[0]), seconds

    def score_windows(
        self, path: StrPath, speech: Speech, window: float, hop: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns where the windows of a file's speech start, their scores, and how many seconds of speech each one holds.

        Args:
            speech, window, hop: see `began.front_end.stream_windows`.
        Returns:
            Seconds, float64 (n_windows,); float32 (n_windows, d), of no meaning where there is no speech; seconds, float64
            (n_windows,), 0 where `find_window_speech` finds none.
        """
        starts, scores, seconds, gain = [], [], [], measure_remaining_gain(path, self.config.front_end)
        for start, _, samples in stream_windows(path, speech, window, hop):
            found = find_window_speech(samples, gain)
            # An utterance of its own: pauses at its ends are cut off as those of a file are.
            is_cut = self.config.front_end != "literal" and found.stop > 0
            statistics, heard = self._hear([samples[found] if is_cut else samples], gain)
            starts.append(start)
            scores.append(as_columns(run_on_any_length(self._head, (statistics + self._shifts[0])[np.newaxis])))
            seconds.append(heard if is_cut else (found.stop - found.start) / SAMPLE_RATE)
        return np.array(starts), np.concatenate(scores), np.array(seconds)


def check_enough(paths: Sequence[Path]) -> None:
    """Raises an InputError where there are too few recordings to adapt to."""
    if len(paths) < ENOUGH_TO_ADAPT:
        found, expected = counted(len(paths), "recording"), f"at least {ENOUGH_TO_ADAPT}: fewer do not tell a speaker's mean"
        raise InputError.about("--adapt", found, expected, "give more recordings of the same speaker, or leave it out")


def predict_utterances(
    reader: UtteranceReader, paths: Iterable[StrPath], windows: tuple[float, float] | None, on_seconds: Callable[[int], None]
) -> Iterator[tuple[Path, Prediction | InputError]]:
    """Yields the prediction for each file, in their order, or what is wrong with the file.

    Args:
        windows: length of the windows and distance of their starts in seconds; None: only the whole file is scored.
        on_seconds: is told how many seconds of sound have been scored.
    """
    for path in map(Path, paths):
        try:
            held = load_recording(path)
            seconds = measure_seconds(held)
            speech = locate_speech(held, reader.config.front_end)
            scores, distance, heard_seconds = reader.score_file(held)
            if not np.isfinite(scores).all():
                raise InputError.about(describe_path(path), "scores that are not finite", "numbers", "check the model")
            length = (speech.end - speech.start) / SAMPLE_RATE
            timeline, start, window, hop = scores[np.newaxis].astype(np.float32), np.zeros(1), seconds, seconds
            heard = np.array([heard_seconds])
            if windows is not None and length > windows[0]:
                window, hop = windows
                start, timeline, heard = reader.score_windows(held, speech, window, hop)
        except InputError as error:
            yield path, error
            continue
        on_seconds(round(seconds))
        yield path, Prediction(path, seconds, start, timeline, scores, window, hop, heard_seconds, heard, distance)

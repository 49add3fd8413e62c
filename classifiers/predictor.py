"""A trained predictor: frozen encoder and head as one network, in one file, from sound to emotion.

The file is a plain Keras model, spectrogram (n_bins, n_frames, 1) -> the head's outputs, of stock layers alone, so that
`keras.models.load_model(path, safe_mode=True)` opens it without this project's code. Beside the network it holds what
its user needs to know, the JSON member `head`: task, labels, spectrogram settings, encoder and how it is read, tail,
aggregation, corpus, the head's parameters.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from began.audio import CHUNK_SAMPLES, SAMPLE_RATE, TAILS, stream_chunks
from began.errors import InputError
from began.files import read_attached_json
from began.spectrogram import SpectrogramConfig, compute_spectrograms

if TYPE_CHECKING:
    from began.encoder import FrozenEncoder
    from classifiers.trained import TrainedHead

CHUNKS_PER_STEP = 64
"""Chunks that go through the network at a time, of one file or of many: bounds the memory."""

SILENCE = 1e-4
"""Peak below which a file holds no sound (-80 dB of full scale): nobody's emotion can be heard in it."""

DIMENSIONS = ("arousal", "valence")


@dataclass(frozen=True)
class Prediction:
    """What a predictor says about one sound file.

    Attributes:
        path: of the file.
        seconds: its length.
        start_seconds: float64, shape (n_chunks,), where each chunk starts; it lasts a second, or to the file's end.
        chunk_scores: float32, shape (n_chunks, d), probabilities, or arousal in [0, 1] and valence in [-1, 1].
        scores: float64, shape (d,), of the whole file.
    """

    path: Path
    seconds: float
    start_seconds: np.ndarray
    chunk_scores: np.ndarray
    scores: np.ndarray

    @property
    def end_seconds(self) -> np.ndarray:
        """Where each chunk ends."""
        return np.minimum(self.start_seconds + CHUNK_SAMPLES / SAMPLE_RATE, self.seconds)


@dataclass(frozen=True)
class Predictor:
    """Sound files to emotions.

    Attributes:
        head: float32 (n_chunks, n_bins, n_frames, 1) -> the head's outputs, with `metadata` as `read_description`
            returns it.
    """

    head: TrainedHead

    @property
    def task(self) -> str:
        """ "categorical" (classes) or "dimensional"."""
        return self.head.task

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores: the labels, or arousal and valence."""
        return tuple(self.head.metadata["labels"]) if self.task == "categorical" else DIMENSIONS

    @property
    def spectrogram(self) -> SpectrogramConfig:
        """The settings it was trained with, and is always fed with."""
        return SpectrogramConfig.from_dict(self.head.metadata["spectrogram"])

    def label_of(self, scores: np.ndarray) -> str | None:
        """Returns the class with the highest probability; None where there are no classes."""
        return self.columns[int(np.argmax(scores))] if self.task == "categorical" else None

    def predict_chunks(self, chunks: np.ndarray) -> np.ndarray:
        """Returns the scores of chunks.

        Args:
            chunks: float32, shape (n_chunks, 16000), in [-1, 1], at 16 kHz.
        Returns:
            float32, shape (n_chunks, d).
        """
        from classifiers.trained import as_columns

        # Every step has the same shape: one trace, and rounding that does not depend on the neighbours.
        padded = np.pad(chunks, ((0, -len(chunks) % CHUNKS_PER_STEP), (0, 0)))
        steps = [np.zeros((0, len(self.columns)), np.float32)]
        for start in range(0, len(padded), CHUNKS_PER_STEP):
            spectrograms = compute_spectrograms(padded[start : start + CHUNKS_PER_STEP], self.spectrogram)
            steps.append(as_columns(self.head.model.predict_on_batch(spectrograms[..., np.newaxis])))
        return np.concatenate(steps)[: len(chunks)]

    def predict_file(self, path: str | os.PathLike[str]) -> Prediction:
        """Returns what it says about one sound file of any length.

        Raises:
            InputError: the file cannot be read, is silent, or is too short for a chunk.
        """
        ((_, outcome),) = self.predict_files([path])
        if isinstance(outcome, InputError):
            raise outcome
        return outcome

    def predict_files(
        self, paths: Iterable[str | os.PathLike[str]], on_chunks: Callable[[int], None] = lambda n: None
    ) -> Iterator[tuple[Path, Prediction | InputError]]:
        """Yields what it says about each file, in their order, or what is wrong with the file.

        Chunks of several short files share a step of the network, and a long file goes through it block by block:
        memory stays flat however many files there are and however long they are.

        Args:
            paths: sound files.
            on_chunks: is told how many chunks have been scored, a step at a time.
        """
        files: deque[_File] = deque()
        waiting: list[tuple[_File, np.ndarray]] = []

        def score(n_chunks: int) -> None:
            scores = self.predict_chunks(np.concatenate([chunks for _, chunks in waiting])[:n_chunks])
            on_chunks(n_chunks)
            done = 0
            while done < n_chunks:
                file, chunks = waiting.pop(0)
                taken = min(len(chunks), n_chunks - done)
                file.scores.append(scores[done : done + taken])
                if taken < len(chunks):
                    waiting.insert(0, (file, chunks[taken:]))
                done += taken

        for path in paths:
            file = _File(Path(path))
            files.append(file)
            for chunks in file.read(self.head.metadata["tail"]):
                waiting.append((file, chunks))
                n_waiting = sum(len(chunks) for _, chunks in waiting)
                if n_waiting >= CHUNKS_PER_STEP:
                    score(n_waiting - n_waiting % CHUNKS_PER_STEP)
            while files and files[0].is_scored:
                done = files.popleft()
                yield done.path, self._conclude(done)
        if waiting:
            score(sum(len(chunks) for _, chunks in waiting))
        for file in files:
            yield file.path, self._conclude(file)

    def _conclude(self, file: _File) -> Prediction | InputError:
        from classifiers.metrics import aggregate_chunks

        if file.error is not None:
            return file.error
        metadata, chunk_scores = self.head.metadata, np.concatenate(file.scores)
        try:
            scores = aggregate_chunks(chunk_scores, np.zeros(len(chunk_scores), np.int64), metadata["aggregation"], self.task)[
                0
            ]
        except InputError as error:  # scores that are not finite
            return InputError(f"{shown(file.path)}: {error}")
        start = np.arange(len(chunk_scores), dtype=np.float64)
        if metadata["tail"] == "overlap":  # the last chunk ends where the file ends
            start[-1] = min(start[-1], max(0.0, file.seconds - 1.0))
        return Prediction(file.path, file.seconds, start, chunk_scores, scores)


@dataclass
class _File:
    """A file on its way through the network."""

    path: Path
    n_chunks: int = 0
    seconds: float | None = None  # known once it is read to its end
    error: InputError | None = None
    scores: list[np.ndarray] = field(default_factory=list)

    @property
    def is_scored(self) -> bool:
        """Whether nothing more is to come."""
        return self.error is not None or (
            self.seconds is not None and sum(len(scores) for scores in self.scores) == self.n_chunks
        )

    def read(self, tail: str) -> Iterator[np.ndarray]:
        """Yields the chunks, float32 (n, 16000); whatever is wrong with the file ends in `error`."""
        import soundfile

        peak = 0.0
        try:
            for chunks in stream_chunks(self.path, tail=tail):
                peak = max(peak, float(chunks.max()), -float(chunks.min()))
                self.n_chunks += len(chunks)
                yield chunks
            seconds = soundfile.info(os.fsencode(self.path)).duration
            if self.n_chunks == 0:
                raise InputError.about(
                    shown(self.path),
                    found=f"{seconds:.2f} s of sound",
                    expected="at least a second: the model was trained with --tail drop",
                    action="give a longer file",
                )
            if peak < SILENCE:
                raise InputError.about(
                    shown(self.path),
                    found=f"silence (no sample above {SILENCE:g} of full scale)",
                    expected="speech",
                    action="check the recording",
                )
            self.seconds = seconds
        except InputError as error:
            self.error = error


def shown(path: object) -> str:
    """Returns a path as one printable line, also where its name holds control characters or is not UTF-8."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in str(path))


def read_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what a predictor's file says about itself, checked, without opening the network.

    Raises:
        InputError: no such file, damaged, or not a predictor of this project.
    """
    from classifiers.metrics import AGGREGATIONS, TASKS

    found = read_attached_json(path, "head")

    def refuse(problem: str) -> InputError:
        return InputError.about(
            path,
            found=f"a model with {problem}",
            expected="model.keras as the tables write it",
            action="give a file that this project's scripts wrote",
        )

    if not isinstance(found, dict):
        raise refuse("head.json that is no record")
    for name, allowed in (("task", TASKS), ("tail", TAILS), ("aggregation", AGGREGATIONS)):
        if found.get(name) not in allowed:
            raise refuse(f"the {name} {str(found.get(name))[:40]!r}")
    labels = found.get("labels")
    if found["task"] == "categorical" and not (
        isinstance(labels, list)
        and len(labels) >= 2
        and all(isinstance(label, str) and label and label.isprintable() for label in labels)
    ):
        raise refuse("labels that are no names")
    try:
        config = SpectrogramConfig.from_dict(found["spectrogram"])
        usable = config.n_bins > 0 and config.n_frames > 0
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise refuse(f"spectrogram settings that cannot be used ({error})") from error
    if not usable:
        raise refuse("spectrogram settings that give no spectrogram")
    return found


def build_predictor(encoder: FrozenEncoder, trained: TrainedHead, metadata: dict[str, Any]) -> Predictor:
    """Returns an encoder and the head trained on its features as one network.

    Args:
        encoder: frozen, with the output that the head reads.
        trained: the head.
        metadata: labels (of a softmax head), tail, aggregation, and what else its user should know, such as corpus.
    Raises:
        InputError: the head does not fit the encoder.
    """
    import keras

    from classifiers.trained import TrainedHead, count_columns

    expected = tuple(trained.model.input_shape[1:])
    if encoder.feature_shape != expected:
        raise InputError.about(
            "head",
            found=f"one that reads features of shape {expected}",
            expected=f"shape {encoder.feature_shape}, which the encoder gives",
            action="use the encoder and the --features that the head was trained with",
        )
    n_columns = count_columns(trained.model)
    if trained.task == "categorical" and len(metadata["labels"]) != n_columns:
        raise InputError.about(
            "labels",
            found=len(metadata["labels"]),
            expected=f"{n_columns}, one an output",
            action="name each class once, in the order of the head's outputs",
        )
    # A copy that was never compiled: a compiled head would be saved with its optimiser.
    head = keras.Model(trained.model.input, trained.model.output, name="head")
    model = keras.Model(encoder.model.input, head(encoder.model.output), name="predictor")
    made = {
        "spectrogram": encoder.config.to_dict(),
        "encoder_sha256": encoder.sha256,
        "features": encoder.output,
        "task": trained.task,
        "parameters": trained.parameters,
        "best_epoch": int(trained.best_epoch),
    }
    return Predictor(
        TrainedHead(
            model, trained.task, trained.parameters, trained.history, trained.best_epoch, trained.seconds, {**metadata, **made}
        )
    )


def save_predictor(path: str | os.PathLike[str], predictor: Predictor) -> None:
    """Writes a predictor as one .keras file, whole or not at all."""
    from classifiers.trained import save_head

    save_head(path, predictor.head, predictor.head.metadata)


def load_predictor(path: str | os.PathLike[str]) -> Predictor:
    """Returns a saved predictor; a stranger's file cannot run code.

    Raises:
        InputError: no such file, damaged, not a predictor of this project, or holding layers that none has.
    """
    description = read_description(path)
    from classifiers.trained import load_head

    predictor = Predictor(load_head(path))
    config = SpectrogramConfig.from_dict(description["spectrogram"])
    model, n_columns = predictor.head.model, len(predictor.columns)
    inputs, outputs = tuple(model.input_shape), [tuple(output.shape) for output in model.outputs]
    expected = (None, config.n_bins, config.n_frames, 1)
    if inputs != expected or any(len(shape) != 2 for shape in outputs) or sum(s[-1] for s in outputs) != n_columns:
        raise InputError.about(
            path,
            found=f"a network from {inputs} to {', '.join(map(str, outputs))}",
            expected=f"one from a spectrogram {expected} to {n_columns} scores",
            action="give model.keras as the tables write it",
        )
    return predictor

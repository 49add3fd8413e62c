"""A trained predictor: frozen encoder and head as one network, in one file, from sound to emotion.

The file is a plain Keras model, spectrogram (n_bins, n_frames, 1) -> the head's outputs; n_frames is that of a second, or any
multiple of 8 where the head reads whole utterances. It consists of stock layers alone, so that
`keras.models.load_model(path, safe_mode=True)` opens it without this project's code. Its JSON member `head` holds what a user
must know: kind of head, task, labels, spectrogram settings, encoder and its features, tail, aggregation, corpus, parameters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from began.audio import SAMPLE_RATE, load_recording, measure_seconds
from began.encoder import N_MEL_BANDS, FrozenEncoder, run_network
from began.errors import InputError, name_cause, printable
from began.files import StrPath, write_atomically
from began.find_sounds import list_files
from began.front_end import find_window_speech, locate_speech, measure_remaining_gain, stream_chunks
from began.keras_file import attach_json
from began.media_fragments import describe_path
from began.network_file import load_network
from began.representation import batch_chunks
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from began.utterance_encoder import UtteranceEncoder, pool_bands
from classifiers.calibration import UNSURE_BELOW
from classifiers.description import EXPECTED, read_description
from classifiers.head_parameters import SECOND, UTTERANCE, choose_statistics
from classifiers.metrics import CATEGORICAL, DIMENSIONS, aggregate_chunks
from classifiers.prediction import Prediction
from classifiers.utterance_predictor import UtteranceReader, predict_utterances

UNSURE, FAR = "unsure", "unlike the training recordings"
"""Notes on predictions: the answer is more likely wrong than right; and the recording lies farther from the training data than
95 % of the corpus' own recordings do when their speakers are held out."""

HEARD_SHARE = 0.25
"""Where less of a recording is left by the front end, a note says so: one loud sound makes silence of softer speech."""

SHORT_SECONDS = 0.3
"""Speech that is shorter, about a syllable, gets an answer that nobody should rely on, however certain it looks."""

NO_SPEECH = "no speech"
"""Note on a part of a recording for which nothing is claimed."""

NO_CHOICE = "all chosen answers are equally probable"
"""Note on a prediction restricted to some answers, where the model is so sure of another one that nothing is left to them."""


LITTLE_SHARE = 0.1
"""Where the model gave all chosen answers together less than this probability, a note has what it gave."""


@dataclass(frozen=True)
class Predictor:
    """Sound files to emotions: a Keras model, or its `OnnxNetwork`, and what `read_description` returns of it.

    The model maps float32 (n_chunks, n_bins, n_frames, 1) to the head's output or outputs. Where `allowed` names some of the
    classes, the others get no probability.
    """

    model: Any
    metadata: dict[str, Any]
    allowed: tuple[str, ...] | None = None

    @property
    def kind(self) -> str:
        """Whether its head reads a "second" or an "utterance"."""
        return self.metadata.get("kind", SECOND)

    @property
    def is_categorical(self) -> bool:
        """Whether it predicts classes, and not arousal and valence."""
        return self.metadata["task"] == CATEGORICAL

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the scores: the labels, or arousal and valence."""
        return tuple(self.metadata["labels"]) if self.is_categorical else DIMENSIONS

    @property
    def spectrogram(self) -> SpectrogramConfig:
        """The settings it was trained with, and is always fed with."""
        return SpectrogramConfig.from_dict(self.metadata["spectrogram"])

    def restrict(self, labels: Collection[str]) -> Predictor:
        """Returns the same predictor where only some of its classes can occur: their probabilities sum to one."""
        return replace(self, allowed=tuple(label for label in self.columns if label in labels))

    def _restrict(self, scores: np.ndarray) -> np.ndarray:
        """Returns scores, shape (..., d), with those of classes that cannot occur set to 0."""
        if self.allowed is None:
            return scores
        can_occur = np.isin(self.columns, self.allowed)
        allowed = np.maximum(scores, np.finfo(np.float32).tiny) * can_occur  # one of them is the answer, all at 0 included
        return allowed / allowed.sum(axis=-1, keepdims=True)

    def restrict_prediction(self, prediction: Prediction) -> Prediction:
        """Returns what this predictor says, from what it says where all classes can occur."""
        if self.allowed is None:
            return prediction
        chunk_scores = self._restrict(prediction.chunk_scores)
        scores = self._restrict(prediction.scores) if self.kind == UTTERANCE else self._aggregate(chunk_scores)
        return replace(prediction, chunk_scores=chunk_scores, scores=scores, unrestricted=prediction)

    def _aggregate(self, chunk_scores: np.ndarray) -> np.ndarray:
        one_file = np.zeros(len(chunk_scores))
        return aggregate_chunks(chunk_scores, one_file, self.metadata["aggregation"], self.metadata["task"])[0]

    def label_of(self, scores: np.ndarray) -> str | None:
        """Returns the class with the highest probability; None where there are no classes."""
        return self.columns[int(np.argmax(scores))] if self.is_categorical else None

    def notes_on(self, prediction: Prediction) -> list[str]:
        """Returns what to beware of in a prediction; how sure it is, only models that were calibrated know."""
        before = None if prediction.unrestricted is None else prediction.unrestricted.scores
        notes = self._notes_on(prediction.scores, before, prediction.speech_seconds)
        if prediction.speech_seconds is not None and prediction.speech_seconds < HEARD_SHARE * prediction.seconds:
            notes.append(f"heard: {prediction.speech_seconds:.1f} of {prediction.seconds:.1f} s")
        calibration = self.metadata.get("calibration")
        if calibration and prediction.distance is not None and prediction.distance > calibration["far_distance"]:
            notes.append(FAR)
        return notes

    def notes_on_chunk(self, prediction: Prediction, number: int) -> list[str]:
        """Returns what to beware of in one of a prediction's chunks; `FAR` is known of whole recordings alone."""
        if not prediction.has_speech[number]:
            return [NO_SPEECH]
        is_whole, seconds = len(prediction.chunk_scores) == 1, prediction.chunk_speech_seconds
        heard = prediction.speech_seconds if is_whole or seconds is None else float(seconds[number])
        before = None if prediction.unrestricted is None else prediction.unrestricted.chunk_scores[number]
        return self._notes_on(prediction.chunk_scores[number], before, heard)

    def _notes_on(self, scores: np.ndarray, before: np.ndarray | None, speech_seconds: float | None) -> list[str]:
        """Returns the notes on scores, with what they were before some answers were ruled out, if any were."""
        notes, can_occur = [], np.isin(self.columns, self.allowed or ())
        if can_occur.any() and np.ptp(scores[can_occur]) == 0:
            notes.append(NO_CHOICE)
        elif before is not None and (share := before[can_occur].sum()) < LITTLE_SHARE:
            percent = f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"
            notes.append(f"all chosen answers together had {percent}")
        is_short = speech_seconds is not None and speech_seconds < SHORT_SECONDS
        if is_short:
            notes.append(f"short: {speech_seconds:.2g} s of speech")
        if is_short or (self.metadata.get("calibration") and self.is_categorical and scores.max() < UNSURE_BELOW):
            notes.append(UNSURE)
        return notes

    def predict_chunks(self, chunks: np.ndarray) -> np.ndarray:
        """Returns the scores, float32 (n_chunks, d), of chunks, float32 (n_chunks, 16000), in [-1, 1], at 16 kHz."""
        return run_network(self.model, compute_spectrograms(chunks, self.spectrogram))

    def predict_file(self, path: StrPath) -> Prediction:
        """Returns the prediction for one sound file of any length.

        Raises:
            InputError: the file cannot be read, is silent, or is too short for a chunk.
        """
        ((_, outcome),) = self.predict_files([path])
        if isinstance(outcome, InputError):
            raise outcome
        return outcome

    def predict_files(
        self,
        paths: StrPath | Iterable[StrPath],
        on_chunks: Callable[[int], None] = lambda n: None,
        windows: tuple[float, float] | None = None,
        average_speeds: bool = True,
        adapt_to: Sequence[Path] | None = None,
    ) -> Iterator[tuple[Path, Prediction | InputError]]:
        """Yields the prediction for each file, in their order, or what is wrong with the file.

        Chunks of several short files share a step of the network, and a long file goes through it block by block:
        memory stays flat however many files there are and however long they are.

        Args:
            paths: sound files, or one.
            on_chunks: is told how many chunks, seconds of sound, have been scored.
            windows: length of the windows that show the emotion over time and distance of their starts, in seconds, for a head
                that reads utterances; one on single seconds has these. With None, whole files are what is asked for: windows
                of utterances are not scored, and speech in single seconds is not looked for.
            average_speeds: for such a head: average the scores over the speeds that it was trained with, as its table does.
            adapt_to: for such a head: recordings of the same speaker or room, see `UtteranceReader`.
        """
        paths = list_files(paths)
        if self.kind == UTTERANCE:
            speeds = self.metadata["speeds"] if average_speeds else (1.0,)
            reader = UtteranceReader(self.model, self.spectrogram, self.metadata["parameters"], speeds, adapt_to)
            for path, outcome in predict_utterances(reader, paths, windows, on_chunks):
                yield path, self.restrict_prediction(outcome) if isinstance(outcome, Prediction) else outcome
            return
        files: deque[_File] = deque()

        def pieces() -> Iterator[tuple[_File, np.ndarray]]:
            for path in paths:
                files.append(_File(Path(path)))
                for chunks in files[-1].read(self.metadata["tail"], self.spectrogram.front_end, windows is not None):
                    yield files[-1], chunks

        for owners, chunks in batch_chunks(pieces()):
            scores = self.predict_chunks(chunks)
            on_chunks(len(chunks))
            for file, n_chunks in owners:
                file.scores.append(scores[:n_chunks])
                scores = scores[n_chunks:]
            while files and files[0].is_scored:
                yield files[0].path, self._conclude(files.popleft())
        for file in files:
            yield file.path, self._conclude(file)

    def _conclude(self, file: _File) -> Prediction | InputError:
        if file.error is not None:
            return file.error
        chunk_scores = np.concatenate(file.scores)
        first, last = file.speech_seconds
        start = first + np.arange(len(chunk_scores), dtype=np.float64)
        try:
            scores = self._aggregate(chunk_scores)
        except InputError as error:  # scores that are not finite
            return InputError(f"{printable(describe_path(file.path))}: {error}")
        if self.metadata["tail"] == "overlap":  # the last chunk ends where the speech ends
            start[-1] = min(start[-1], max(first, last - 1.0))
        prediction = Prediction(file.path, file.seconds, start, chunk_scores, scores, speech_seconds=last - first)
        if file.chunk_speech:
            prediction = replace(prediction, chunk_speech_seconds=np.array(file.chunk_speech))
        return self.restrict_prediction(prediction)


@dataclass
class _File:
    """A file on its way through the network."""

    path: Path
    n_chunks: int = 0
    seconds: float | None = None  # known once it is read to its end
    speech_seconds: tuple[float, float] = (0.0, 0.0)  # where that begins and ends which the front end leaves
    chunk_speech: list[float] = field(default_factory=list)  # seconds
    error: InputError | None = None
    scores: list[np.ndarray] = field(default_factory=list)

    @property
    def is_scored(self) -> bool:
        """Whether nothing more is to come."""
        n_scored = sum(len(scores) for scores in self.scores)
        return self.error is not None or (self.seconds is not None and n_scored == self.n_chunks)

    def read(self, tail: str, front_end: str, over_time: bool) -> Iterator[np.ndarray]:
        """Yields the chunks, float32 (n, 16000); whatever is wrong with the file ends in `error`.

        Args:
            tail, front_end: see `began.front_end.stream_chunks`.
            over_time: find out which chunks hold speech.
        """
        try:
            held = load_recording(self.path)
            speech = locate_speech(held, front_end)
            gain = measure_remaining_gain(held, front_end) if over_time else 0.0
            for chunks in stream_chunks(held, front_end, tail=tail):
                self.n_chunks += len(chunks)
                for chunk in chunks if over_time else ():
                    self.chunk_speech.append(len(chunk[find_window_speech(chunk, gain)]) / SAMPLE_RATE)
                yield chunks
            seconds = measure_seconds(held)
            if self.n_chunks == 0:
                expected = "at least a second: the model was trained with --tail drop"
                raise InputError.about(describe_path(self.path), f"{seconds:.2f} s of sound", expected, "give a longer file")
            self.speech_seconds = (speech.start / SAMPLE_RATE, speech.end / SAMPLE_RATE)
            self.seconds = seconds
        except InputError as error:
            error.__cause__ = error.__context__ = None
            self.error = error.with_traceback(None)  # which would hold this frame, and the frame this file, and so each other


def build_predictor(encoder: FrozenEncoder | UtteranceEncoder, head_model: Any, metadata: dict[str, Any]) -> Predictor:
    """Returns an encoder and a head trained on its features as one network.

    Args:
        encoder: frozen, with the output that the head is trained on; an `UtteranceEncoder` where it reads utterances, and the
            metadata then hold the kind, the head's parameters and the speeds.
        head_model: Keras model of the head.
        metadata: task, labels (of a categorical task), tail, aggregation, and what else its user should know, such as corpus
            and parameters; settings and hash of the encoder are added.
    Raises:
        InputError: the head does not fit the encoder, or the labels the head.
    """
    import keras

    if isinstance(encoder, UtteranceEncoder):
        output, (inputs, features) = UTTERANCE, _pool(encoder, metadata)
    else:
        output, inputs, features = encoder.output, encoder.model.input, encoder.model.output
    if (expected := tuple(features.shape[1:])) != (shape := tuple(head_model.input_shape[1:])):
        found, action = f"one for features of shape {shape}", "use the encoder and the --features that it was trained with"
        raise InputError.about("head", found, f"shape {expected}, as the encoder gives them", action)
    n_outputs = sum(output.shape[-1] for output in head_model.outputs)
    if metadata["task"] == CATEGORICAL and len(metadata["labels"]) != n_outputs:
        action = "name each class once, in the order of the head's outputs"
        raise InputError.about("labels", len(metadata["labels"]), f"{n_outputs}, one per output", action)
    # A copy that was never compiled: a compiled head would be saved with its optimiser.
    head = keras.Model(head_model.input, head_model.output, name="head")
    model = keras.Model(inputs, head(features), name="predictor")
    origin = {"spectrogram": encoder.config.to_dict(), "encoder_sha256": encoder.sha256, "features": output}
    if isinstance(encoder, UtteranceEncoder) and encoder.components_sha256:
        origin["components_sha256"] = encoder.components_sha256
    return Predictor(model, {**metadata, **origin})


def _pool(encoder: UtteranceEncoder, metadata: dict[str, Any]) -> tuple[Any, Any]:
    """Returns a spectrogram of any length as a Keras input, and the statistics of it that the head reads."""
    import keras

    chosen = encoder.statistics[choose_statistics(metadata["parameters"], encoder.statistics)]
    inputs = keras.Input(encoder.model.input_shape[1:], name="utterance_spectrogram")
    return inputs, pool_bands(encoder.model(inputs), list(dict.fromkeys(chosen)))


def save_predictor(path: StrPath, predictor: Predictor) -> None:
    """Writes a predictor as one .keras file, whole or not at all."""
    with write_atomically(path) as temporary:
        predictor.model.save(temporary)
        attach_json(temporary, "head", predictor.metadata)


def load_predictor(path: StrPath, load: Callable[[Any], Any] = load_network) -> Predictor:
    """Returns a saved predictor; a stranger's file cannot run code.

    Args:
        load: opens the network: with Keras, or `began.onnx_network.load_onnx_network`.
    Raises:
        InputError: no such file, damaged, not a predictor of this project, or holding layers that none has.
    """
    metadata = read_description(path)
    predictor = Predictor(load(path), metadata)
    config, n_columns = predictor.spectrogram, len(predictor.columns)
    inputs, outputs = tuple(predictor.model.input_shape), predictor.model.output_shape
    outputs = outputs if isinstance(outputs, list) else [outputs]
    expected = (None, config.n_bins, None if predictor.kind == UTTERANCE else config.n_frames, 1)
    if inputs != expected or any(len(shape) != 2 for shape in outputs) or sum(shape[-1] for shape in outputs) != n_columns:
        found, wanted = f"a network from {inputs} to {outputs}", f"one from a spectrogram {expected} to {n_columns} scores"
        raise InputError.about(path, found, wanted, f"give {EXPECTED}")
    if predictor.kind == UTTERANCE:
        _check_statistics(path, predictor)
    return predictor


def _check_statistics(path: StrPath, predictor: Predictor) -> None:
    """Raises InputError where the parameters choose other statistics than the network reads, or its layers are others."""
    try:
        known = UtteranceEncoder(predictor.model.get_layer("bands"), predictor.spectrogram, "").statistics
        n_chosen = len(choose_statistics(predictor.metadata["parameters"], known))
        head = predictor.model.get_layer("head")
        n_read = head.get_layer("normalization").get_weights()[0].size // N_MEL_BANDS
    except (ValueError, IndexError, AttributeError, TypeError) as error:
        found = f"a network with other layers ({name_cause(error)})"
        raise InputError.about(path, found, "the encoder's and the head's", f"give {EXPECTED}") from error
    if n_chosen != n_read:
        found, wanted = f"parameters that choose {n_chosen} statistics", f"{n_read}, as its network reads"
        raise InputError.about(path, found, wanted, f"give {EXPECTED}")

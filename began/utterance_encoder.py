"""Whole utterances through the frozen encoder: all four blocks in mel bands, and their statistics over time.

The encoder's convolutions take a spectrogram of any length, not only that of a 1-s chunk. What its blocks give is averaged
into mel bands and pooled over the whole utterance, so that an utterance of any length becomes one map: bands × statistics.
Recordings of hours run through block by block: the statistics are sums and extremes, and memory stays flat.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from began.augmentation import stream_augmented_speech
from began.components import N_COMPONENTS, hash_components
from began.encoder import LAYERS, N_MEL_BANDS, FrozenEncoder, mel_filters
from began.files import StrPath
from began.front_end import stream_speech
from began.onnx_network import OnnxNetwork, as_onnx
from began.spectrogram import SpectrogramConfig, compute_spectrograms, stream_spectrogram

STATISTICS = ("mean", "deviation", "maximum", "minimum")
"""Of every band and channel over time: mean, standard deviation, and how far maximum and minimum lie from the mean."""

SPREAD = STATISTICS[1:]
"""The statistics that do not know the mean, and with it level and microphone."""

STEP = 8
"""Frames of the spectrogram that become one frame of the map, 2 to the power of `began.networks.N_HALVINGS`: lengths are filled
up to a multiple of it."""

CONTEXT_FRAMES = 6 * STEP
"""Frames on either side that a frame of the map sees at most (23 before and 37 behind it), as a multiple of STEP."""

BLOCK_FRAMES = 256 * STEP
"""Frames of the spectrogram that are embedded at a time: about a minute."""

CORRELATION_EPSILON = 1e-3
"""Added to standard deviations in correlations: a component that stands still correlates with nothing."""


@dataclass(frozen=True)
class UtteranceEncoder:
    """A frozen encoder as a function from utterances of any length to one map of statistics.

    Attributes:
        model: float32 (n, n_bins, n_frames, 1) -> four blocks in mel bands, (n, n_frames / 2 4 8 8, 40, n_channels), and where
            they are known their principal components, (n, n_frames / 2 4 8 8, 40).
        config: spectrogram settings the encoder was trained with, and the front end that it is fed with.
        sha256: of its file, and the seed where its weights were drawn afresh.
        components_sha256: of the principal components (`began.components.hash_components`); empty where they are not known.
        graph: the model in the form in which it runs fastest on one utterance at a time (`began.onnx_network.as_onnx`); None:
            the model itself runs.
    """

    model: Any
    config: SpectrogramConfig
    sha256: str
    components_sha256: str = ""
    graph: Any = None

    @classmethod
    def of(
        cls, encoder: FrozenEncoder, front_end: str | None = None, components: Sequence[np.ndarray] | None = None
    ) -> UtteranceEncoder:
        """Returns the same encoder over any length: its convolutions are shared.

        Args:
            encoder: frozen, of any output.
            front_end: what it is fed with, one of `began.front_end.FRONT_ENDS`; None: what it was trained with.
            components: of its blocks (`began.components.read_components`); None: there are no correlations.
        """
        config = replace(encoder.config, front_end=front_end or encoder.config.front_end)
        known = "" if components is None else hash_components(components)
        model = build_band_model(encoder.model, components)
        return cls(model, config, encoder.sha256, known, as_onnx(model))

    @property
    def n_channels(self) -> tuple[int, ...]:
        """Channels of the blocks: n, 2n, 3n, 4n."""
        return tuple(shape[-1] for shape in self.model.output_shape[: len(LAYERS)])

    @property
    def statistics(self) -> np.ndarray:
        """Names of an utterance's statistics, see `name_statistics`."""
        return name_statistics(self.n_channels, with_correlations=len(self.model.output_shape) > len(LAYERS))

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """Of an utterance: (40, 1, n_statistics)."""
        return (N_MEL_BANDS, 1, len(self.statistics))

    def embed_file(
        self, path: StrPath, speed: float = 1.0, augmentation_seed: Sequence[int] | None = None, random_channel: bool = False
    ) -> np.ndarray:
        """Returns the statistics of a sound file, float32, of `feature_shape`; for errors see `began.audio.stream_audio`.

        Args:
            path, speed: see `began.front_end.stream_speech`.
            augmentation_seed, random_channel: of an altered copy, see `began.augmentation.stream_augmented_speech`; without a
                seed, the file is heard as it is.
        """
        if augmentation_seed is None:
            speech = stream_speech(path, self.config.front_end, speed)
        else:
            speech = stream_augmented_speech(path, self.config.front_end, speed, augmentation_seed, random_channel)
        return self.embed(stream_spectrogram(speech, self.config))

    def embed(self, spectrogram: Iterable[np.ndarray]) -> np.ndarray:
        """Returns the statistics of a spectrogram given as consecutive pieces, float32 (n_bins, n_frames) each."""
        pooled = [_Sums(n_channels) for n_channels in self.n_channels]
        correlated = [Moments(N_COMPONENTS) for _ in self.model.output_shape[len(LAYERS) :]]
        for blocks in self.stream_bands(spectrogram):
            for sums, frames in zip(pooled, blocks[: len(pooled)], strict=True):
                sums.add(frames)
            for moments, frames in zip(correlated, blocks[len(pooled) :], strict=True):
                moments.add(frames)
        columns = [sums.statistics() for sums in pooled] + [moments.correlations() for moments in correlated]
        return np.concatenate(columns, axis=1)[:, np.newaxis].astype(np.float32)

    def stream_bands(self, spectrogram: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """Yields consecutive frames of the four blocks, float32 (n_frames, 40, n_channels) each, as the whole would give them.

        The components of the four blocks, float32 (n_frames, 40) each, come behind them where they are known.

        Every piece is embedded with the context that its frames see; the model's own zeros stand at the two ends alone.
        """
        held, before = np.zeros((self.config.n_bins, 0), np.float32), 0
        for piece in spectrogram:
            held = np.concatenate([held, piece], axis=1)
            while held.shape[1] > before + BLOCK_FRAMES + CONTEXT_FRAMES:
                yield self._embed_piece(held[:, : before + BLOCK_FRAMES + CONTEXT_FRAMES], before, before + BLOCK_FRAMES)
                held, before = held[:, before + BLOCK_FRAMES - CONTEXT_FRAMES :], CONTEXT_FRAMES
        yield self._embed_piece(fill_up(held, self.config), before, None)

    def _embed_piece(self, piece: np.ndarray, start: int, end: int | None) -> list[np.ndarray]:
        blocks = run_on_any_length(self.model if self.graph is None else self.graph, piece[np.newaxis, :, :, np.newaxis])
        factors = [piece.shape[1] // block.shape[1] for block in blocks]
        ends = [None if end is None else end // factor for factor in factors]
        return [block[0, start // factor : last] for block, factor, last in zip(blocks, factors, ends, strict=True)]


_TRACING = threading.Lock()  # of threads that embed files side by side, one traces and the others wait


def run_on_any_length(model: Any, inputs: np.ndarray) -> Any:
    """Returns a network's outputs, as arrays, for inputs whose size varies: it is traced once for all sizes.

    Keras traces anew for the first sizes, and TensorFlow warns of it.
    """
    if isinstance(model, OnnxNetwork):
        return model.predict_on_batch(inputs)
    import keras

    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch(inputs)
    import tensorflow as tf

    with _TRACING:
        if not hasattr(model, "run_traced"):
            sizes = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
            model.run_traced = tf.function(lambda batch: model(batch, training=False), [sizes]).get_concrete_function()
    return keras.tree.map_structure(np.asarray, model.run_traced(tf.constant(inputs)))


def fill_up(spectrogram: np.ndarray, config: SpectrogramConfig) -> np.ndarray:
    """Returns a spectrogram, float32 (n_bins, n_frames), with silence behind it up to a multiple of STEP frames."""
    n_frames = max(STEP, -(-spectrogram.shape[1] // STEP) * STEP)
    return np.pad(spectrogram, ((0, 0), (0, n_frames - spectrogram.shape[1])), constant_values=find_silence(config))


@functools.cache
def find_silence(config: SpectrogramConfig) -> float:
    """Returns what a spectrogram holds where nothing sounds."""
    return compute_spectrograms(np.zeros((1, 1), np.float32), config).max()


def build_band_model(encoder: Any, components: Sequence[np.ndarray] | None = None) -> Any:
    """Returns the encoder's convolutions on spectrograms of any length, a multiple of STEP, with the blocks in mel bands.

    Args:
        encoder: as `began.networks.build_encoder` makes it.
        components: of the blocks, see `began.components`: what gives them is added behind.
    """
    import keras
    from keras.layers import EinsumDense

    inputs = keras.Input((encoder.input_shape[1], None, 1), name="spectrogram")
    x, bands = inputs, []
    for number, names in enumerate(LAYERS, start=1):
        for name in names:
            x = encoder.get_layer(name)(x)
        into_bands = EinsumDense(
            "nftc,fk->ntkc", (None, N_MEL_BANDS, x.shape[-1]), trainable=False, name=f"block{number}_bands"
        )
        bands.append(into_bands(x))
        into_bands.set_weights([mel_filters(x.shape[1])])
    projected = []
    for number, matrix in enumerate(components or (), start=1):
        project = EinsumDense("ntkc,kcj->ntj", (None, matrix.shape[-1]), trainable=False, name=f"block{number}_components")
        projected.append(project(bands[number - 1]))
        project.set_weights([matrix])
    return keras.Model(inputs, [*bands, *projected], name="bands")


def name_statistics(n_channels: Sequence[int], with_correlations: bool = True) -> np.ndarray:
    """Returns the names of the columns of an utterance's statistics: str, shape (n_statistics,).

    Columns of one name are its channels: "block1 mean" has n. "block1 correlations" has 40, of each of the block's 40 principal
    components with all of them: here a row is a component, in place of a band.

    Args:
        n_channels: of the blocks.
        with_correlations: whether the encoder's components are known.
    """
    names = [
        f"block{block} {statistic}"
        for block, channels in enumerate(n_channels, start=1)
        for statistic in STATISTICS
        for _ in range(channels)
    ]
    blocks = range(1, 1 + len(n_channels) * with_correlations)
    return np.array([*names, *(f"block{block} correlations" for block in blocks for _ in range(N_COMPONENTS))])


def pool_bands(blocks: Sequence[Any], chosen: Sequence[str]) -> Any:
    """Returns the chosen statistics of blocks as a Keras tensor, (n, 40, 1, n_chosen), in the columns' order.

    Args:
        blocks: what the model of an `UtteranceEncoder` gives: mel bands of four blocks, (n, n_frames, 40, n_channels) each, and
            their components, (n, n_frames, 40).
        chosen: some of `name_statistics`, each once.
    """
    from keras import layers, ops

    def centre(frames: Any) -> tuple[Any, Any, Any]:
        mean = ops.mean(frames, axis=1, keepdims=True)
        centred = ops.subtract(frames, mean)
        return mean, centred, ops.sqrt(ops.mean(ops.square(centred), axis=1))

    pooled = []
    for block, frames in enumerate(blocks[: len(LAYERS)], start=1):
        mean, centred, deviation = centre(frames)
        statistics = {
            "mean": lambda mean=mean: ops.squeeze(mean, axis=1),
            "deviation": lambda deviation=deviation: deviation,
            "maximum": lambda centred=centred: ops.max(centred, axis=1),
            "minimum": lambda centred=centred: ops.min(centred, axis=1),
        }
        pooled += [make() for name, make in statistics.items() if f"block{block} {name}" in chosen]
    for block, components in enumerate(blocks[len(LAYERS) :], start=1):
        if f"block{block} correlations" in chosen:
            _, centred, deviation = centre(components)
            n_frames = ops.sum(ops.ones_like(centred), axis=1)
            scaled = centred / ops.expand_dims((deviation + CORRELATION_EPSILON) * ops.sqrt(n_frames), axis=1)
            pooled.append(ops.einsum("ntj,nti->nji", scaled, scaled))
    return layers.Reshape((N_MEL_BANDS, 1, -1), name="utterance")(layers.Concatenate(name="pooled")(pooled))


class _Sums:
    """Sums and extremes of a block's frames, from which its statistics follow; frames come in any number of pieces."""

    def __init__(self, n_channels: int) -> None:
        self.n_frames, self.sums, self.squares = 0, *np.zeros((2, N_MEL_BANDS, n_channels))
        self.highest, self.lowest = np.full((2, N_MEL_BANDS, n_channels), [[[-np.inf]], [[np.inf]]])

    def add(self, frames: np.ndarray) -> None:
        """Adds frames, float32 (n_frames, 40, n_channels)."""
        self.n_frames += len(frames)
        self.highest = np.maximum(self.highest, frames.max(axis=0))
        self.lowest = np.minimum(self.lowest, frames.min(axis=0))
        frames = frames.astype(np.float64)
        self.sums += frames.sum(axis=0)
        self.squares += np.einsum("tkc,tkc->kc", frames, frames)

    def statistics(self) -> np.ndarray:
        """Returns STATISTICS, float64, shape (40, 4 n_channels)."""
        mean = self.sums / self.n_frames
        deviations = np.sqrt(np.maximum(self.squares / self.n_frames - np.square(mean), 0.0))
        return np.concatenate([mean, deviations, self.highest - mean, self.lowest - mean], axis=1)


class Moments:
    """Sums of frames of n values and of their products, which covariances follow from; frames come in any number of pieces."""

    def __init__(self, n_values: int) -> None:
        self.n_frames, self.sums, self.products = 0, np.zeros(n_values), np.zeros((n_values, n_values))

    def add(self, frames: np.ndarray) -> None:
        """Adds frames, float32, shape (n_frames, …)."""
        flat = frames.reshape(len(frames), -1).astype(np.float64)
        self.n_frames += len(flat)
        self.sums += flat.sum(axis=0)
        self.products += flat.T @ flat

    def correlations(self) -> np.ndarray:
        """Returns the correlations of every value with all of them, float64, shape (n_values, n_values)."""
        mean = self.sums / self.n_frames
        covariances = self.products / self.n_frames - np.outer(mean, mean)
        deviations = np.sqrt(np.maximum(np.diag(covariances), 0.0)) + CORRELATION_EPSILON
        return covariances / np.outer(deviations, deviations)

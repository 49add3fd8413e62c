"""The frozen encoder behind the interface of the HEAR benchmark of 2021, for whatever evaluates embeddings through it.

Scenes get the statistics of `began.representation.embed`. Timestamps get the frames of all blocks in mel bands, at the rate of
the first block; speech is brought to one level, but no silence is cut, so that times stay those of the sound.

Source: Turian et al. 2022, HEAR: Holistic Evaluation of Audio Representations, section 3 and the common API on its site.
"""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from began.audio import MAX_AMPLITUDE, SAMPLE_RATE
from began.encoder import N_MEL_BANDS
from began.errors import InputError, name_cause
from began.front_end import Speech, cut_speech, measure_speech
from began.spectrogram import stream_spectrogram
from began.utterance_features import UtteranceFeatures, open_features

FIRST_FACTOR = 2
"""Frames of the spectrogram that become one frame of the first block."""


class HearModel(tf.Module):
    """The features of an encoder, and what HEAR asks a model to say of itself.

    Attributes:
        sample_rate: of what it takes, in Hz.
        scene_embedding_size, timestamp_embedding_size: of what it gives.
    """

    def __init__(self, features: UtteranceFeatures) -> None:
        super().__init__(name="began")
        self.features = features
        self.sample_rate = SAMPLE_RATE
        self.scene_embedding_size = len(features.names)
        self.timestamp_embedding_size = N_MEL_BANDS * sum(features.encoder.n_channels)


def load_model(model_file_path: str = "") -> HearModel:
    """Returns an encoder: encoder.keras of a pre-training, or the published one; raises as `open_features` does."""
    return HearModel(open_features(model_file_path or None))


def get_scene_embeddings(audio: tf.Tensor, model: HearModel) -> tf.Tensor:
    """Returns one embedding per sound: float32, shape (n_sounds, scene_embedding_size).

    Args:
        audio: float32, shape (n_sounds, n_samples), in [-1, 1], at `model.sample_rate`.
        model: what `load_model` returns.
    Raises:
        InputError: something of another shape, or values that no sound has, such as integers.
    """
    rows = [model.features.embed_speech(cut_speech([sound], _find(sound))) for sound in _read(audio)]
    return tf.constant(np.reshape(rows, (len(rows), model.scene_embedding_size)), tf.float32)


def get_timestamp_embeddings(audio: tf.Tensor, model: HearModel) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns embeddings over time, and the times that they are of.

    Args:
        audio, model: see `get_scene_embeddings`.
    Returns:
        (embeddings, timestamps): float32, (n_sounds, n_timestamps, timestamp_embedding_size); and float32, (n_sounds,
        n_timestamps), the middle of what a frame of block 1 sees, in milliseconds, every 64 ms with the published encoder.
        Deeper blocks have longer frames, which are repeated: the middle of what they see lies up to 64 ms (block 2) and 192 ms
        (blocks 3 and 4) after the timestamp, never before it.
    Raises:
        InputError: as `get_scene_embeddings` does.
    """
    sounds = _read(audio)
    config = model.features.encoder.config
    n_timestamps = -(-(1 + sounds.shape[1] // config.hop_length) // FIRST_FACTOR)
    embeddings = np.empty((len(sounds), n_timestamps, model.timestamp_embedding_size), np.float32)
    for sound, rows in zip(sounds, embeddings, strict=True):
        rows[:] = np.concatenate(list(_stream_frames(model, sound)))[:n_timestamps]  # behind them lies what fills the last step
    # A convolution of stride 2 fills up an even length behind its end alone: its frame i sees frames 2i to 2i + 2.
    middles = (np.arange(n_timestamps) * FIRST_FACTOR + 1) * config.hop_length * 1000 / SAMPLE_RATE
    return tf.constant(embeddings), tf.constant(np.tile(middles, (len(sounds), 1)), tf.float32)


def _read(audio: tf.Tensor) -> np.ndarray:
    """Returns sounds as float32, shape (n_sounds, n_samples)."""
    expected = "(n_sounds, n_samples), with at least one sample"
    try:
        sounds = np.asarray(audio, np.float32)
    except (ValueError, TypeError) as error:
        found, action = f"no array of numbers ({name_cause(error)})", "give one row per sound, all of the same length"
        raise InputError.about("audio", found, expected, action) from error
    if sounds.ndim != 2 or not sounds.shape[1]:
        raise InputError.about("audio", f"the shape {sounds.shape}", expected, "give one row per sound")
    for row, peak in enumerate(np.abs(sounds).max(axis=1)):
        if not np.isfinite(peak):
            found, action = f"values in row {row} that are no finite numbers", "correct them"
            raise InputError.about("audio", found, "samples in [-1, 1]", action)
        if peak > MAX_AMPLITUDE:
            action = "divide integers by their full scale (16 bits: 32768)"
            raise InputError.about("audio", f"values up to {peak:g} in row {row}", "samples in [-1, 1]", action)
    return sounds


def _stream_frames(model: HearModel, sound: np.ndarray) -> Iterator[np.ndarray]:
    """Yields consecutive frames of all blocks side by side, float32 (n_frames, timestamp_embedding_size)."""
    encoder = model.features.encoder
    levelled = sound * np.float32(_find(sound).gain)
    for blocks in encoder.stream_bands(stream_spectrogram([levelled], encoder.config)):
        n_frames = len(blocks[0])
        frames = [np.repeat(block, n_frames // len(block), axis=0).reshape(n_frames, -1) for block in blocks]
        yield np.concatenate(frames, axis=1)


def _find(sound: np.ndarray) -> Speech:
    """Returns where a sound's speech lies; all of it, as it is, where there is none."""
    return measure_speech([sound]) or Speech(0, len(sound), 1.0)

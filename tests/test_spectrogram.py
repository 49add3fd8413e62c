"""Chunks to spectrograms: against librosa, against arithmetic, and against a stored result."""

from __future__ import annotations

import numpy as np
import pytest

from began.augmentation import mask_spectrograms
from began.errors import InputError
from began.spectrogram import SpectrogramConfig, _round_to_half, compute_spectrograms, invert_spectrograms, stream_spectrogram
from tests.golden import make_spectrogram

LOG, LINEAR = SpectrogramConfig(), SpectrogramConfig(magnitude="linear")


def tone(frequency_hz: float, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(16_000) / 16_000)).astype(np.float32)[np.newaxis]


@pytest.fixture(scope="module")
def chunks() -> np.ndarray:
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(7, 16_000)) * 10.0 ** generator.uniform(-4, -1, (7, 1))
    return np.concatenate([noise, tone(440, 0.7), np.zeros((1, 16_000))]).astype(np.float32)


@pytest.mark.parametrize("config", [LINEAR, SpectrogramConfig(n_fft=512, hop_length=160, magnitude="linear")])
def test_equals_librosa(chunks, config):
    librosa = pytest.importorskip("librosa")
    expected = np.abs(librosa.stft(chunks, n_fft=config.n_fft, hop_length=config.hop_length))[:, : config.n_bins]
    computed = compute_spectrograms(chunks, config)
    assert computed.dtype == np.float32
    assert computed.shape == expected.shape == (len(chunks), config.n_bins, config.n_frames)
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_log_is_decibels_below_full_scale(chunks):
    librosa = pytest.importorskip("librosa")
    magnitude = np.abs(librosa.stft(chunks[:7], n_fft=1024, hop_length=512))[:, :512]
    decibels = np.clip(20 * np.log10(np.maximum(magnitude / 256, 1e-12)), -140, -20)
    np.testing.assert_allclose(compute_spectrograms(chunks[:7], LOG), (decibels + 80) / 60, atol=2e-4)


def test_shape_is_the_networks():
    assert (LOG.n_bins, LOG.n_frames) == (512, 32)


@pytest.mark.parametrize("bin_number", [10, 64, 300])
def test_sine_is_in_its_bin(bin_number):
    spectrogram = compute_spectrograms(tone(bin_number * 16_000 / 1024), LINEAR)[0]
    assert (spectrogram[:, 2:-2].argmax(axis=0) == bin_number).all()
    np.testing.assert_allclose(spectrogram[bin_number, 2:-2], 256, rtol=1e-3)  # half the window's sum


def test_ends_of_the_log_range():
    np.testing.assert_allclose(compute_spectrograms(np.zeros((1, 16_000), np.float32), LOG), -1, atol=1e-6)
    loud = compute_spectrograms(tone(1000), LOG)
    assert loud.max() == 1  # db_max is 20 dB below full scale
    # 60 dB below full scale lies a sixth of the range above its middle, -80 dB.
    assert compute_spectrograms(tone(1000, 1e-3), LOG)[0, 64, 16] == pytest.approx(20 / 60, abs=1e-3)


def test_golden_spectrogram():
    computed = compute_spectrograms(make_spectrogram.golden_chunk()[np.newaxis], LOG)[0]
    golden = np.load(make_spectrogram.FILE)
    # Single precision leaves a noise floor 140 dB below the loudest bin of a frame; far above it the values agree.
    audible = golden > -0.6
    np.testing.assert_allclose(computed[audible], golden[audible], atol=1.5e-3)
    assert np.abs(computed - golden).mean() < 5e-4
    np.testing.assert_allclose(computed[:, 30:], -1, atol=1e-6)


def test_one_by_one_equals_together(chunks):
    one_by_one = np.concatenate([compute_spectrograms(chunk[np.newaxis], LOG) for chunk in chunks])
    np.testing.assert_array_equal(one_by_one, compute_spectrograms(chunks, LOG))
    assert compute_spectrograms(chunks[:0], LOG).shape == (0, 512, 32)


@pytest.mark.parametrize("config", [LOG, LINEAR])
def test_half_precision_is_rounded(chunks, config):
    half = compute_spectrograms(chunks, config, dtype="<f2")
    np.testing.assert_array_equal(half, compute_spectrograms(chunks, config).astype(np.float16))


def test_half_precision_of_hard_cases():
    exact = np.arange(0x3C01).astype(np.uint16).view(np.float16).astype(np.float32)  # every half from 0 to 1
    ties = (exact[1:] + exact[:-1]) / 2
    values = np.concatenate([exact, ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1))])
    values = np.concatenate([values, -values])
    rounded, expected = _round_to_half(values.copy()), values.astype(np.float16)
    normal = np.abs(expected) >= 2.0**-14
    np.testing.assert_array_equal(rounded[normal], expected[normal])
    # A subnormal (below 0.00006) is rounded twice, and may end at its neighbour, 0.00000006 away.
    np.testing.assert_allclose(rounded, expected, atol=6e-8)


def test_masks_are_one_band_of_frequencies_and_one_span_of_time():
    """Widths are uniform from 0 to 27/80 of the bins and a fifth of the frames, anywhere; all else stays as it is."""
    spectrograms = np.random.default_rng(1).uniform(0.5, 1, (4000, 80, 30)).astype(np.float32)
    masked = mask_spectrograms(spectrograms, np.random.default_rng(0))
    assert masked.dtype == np.float32
    kept = masked == spectrograms
    assert (masked[~kept] == 0).all()
    bins, frames = ~kept.any(axis=2), ~kept.any(axis=1)
    np.testing.assert_array_equal(kept, ~bins[:, :, None] & ~frames[:, None, :])
    for masks, widest in ((bins, 27), (frames, 6)):
        widths = masks.sum(axis=1)
        assert np.bincount(widths, minlength=widest + 1).min() > 0.7 * 4000 / (widest + 1)
        assert widths.max() == widest
        assert (np.abs(np.diff(np.pad(masks, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1) <= 2).all()  # in one piece
        assert masks[:, 0].any() and masks[:, -1].any()


def test_masks_do_not_depend_on_how_chunks_are_grouped():
    spectrograms = np.ones((10, 512, 32), np.float32)
    generator = np.random.default_rng(0)
    parts = [mask_spectrograms(part, generator) for part in np.split(spectrograms, [3, 4])]
    np.testing.assert_array_equal(np.concatenate(parts), mask_spectrograms(spectrograms, np.random.default_rng(0)))


@pytest.mark.parametrize("config", [LOG, LINEAR])
def test_inversion_sounds_alike(config):
    restored = invert_spectrograms(compute_spectrograms(tone(440, 0.05), config), config, n_iterations=16)
    assert restored.shape == (1, 16_000)
    assert np.abs(np.fft.rfft(restored[0])).argmax() == pytest.approx(440, abs=2)
    assert restored[0, 4000:12_000].std() == pytest.approx(0.05 / np.sqrt(2), rel=0.2)


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="two axes|expected"):
        compute_spectrograms(np.zeros(16_000, np.float32), LOG)


def test_config_as_plain_types():
    assert SpectrogramConfig.from_dict(LINEAR.to_dict()) == LINEAR
    for wrong in ({"n_fft": 1024}, {**LINEAR.to_dict(), "loudness": 11}, None, [1]):
        with pytest.raises(InputError, match="encoder.keras: found the spectrogram settings"):
            SpectrogramConfig.from_dict(wrong, "encoder.keras")


def test_files_of_version_01_hold_a_factor_that_must_be_one():
    assert SpectrogramConfig.from_dict({**LOG.to_dict(), "input_scale": 1.0}) == LOG
    with pytest.raises(InputError, match="input_scale"):
        SpectrogramConfig.from_dict({**LOG.to_dict(), "input_scale": 0.5})


@pytest.mark.parametrize(
    "change",
    [
        {"magnitude": "mel"},
        {"magnitude": ["log"]},
        {"db_min": 0.0, "db_max": -1.0},
        {"db_min": "low"},
        {"db_max": float("inf")},
        {"n_fft": 1023},
        {"n_fft": "many"},
        {"n_fft": 1e30},
        {"hop_length": 0},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(InputError, match=f"encoder.keras: spectrogram settings: found .*{next(iter(change))}="):
        SpectrogramConfig.from_dict({**LOG.to_dict(), **change}, "encoder.keras")


def test_a_stream_of_frames_with_gaps_between_them_is_refused():
    config = SpectrogramConfig(n_fft=64, hop_length=65)
    with pytest.raises(ValueError, match="hop_length is 65; expected at most n_fft, 64"):
        next(stream_spectrogram([np.zeros(200, np.float32)], config))

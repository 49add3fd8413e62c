"""The front end: speech at one level, without what stands around it, whatever its gain, offset and length."""

import numpy as np
import pytest
import soundfile

from began.audio import hash_sound, load_recording, read_audio
from began.augmentation import COLOUR_DB, _filter, draw_channel, stream_augmented_speech
from began.chunks import cut_chunks
from began.errors import InputError
from began.front_end import (
    FRONT_ENDS,
    LOUD_LEVEL_DB,
    find_speech,
    find_window_speech,
    locate_speech,
    measure_speech,
    shorten_pauses,
    stream_chunks,
    stream_speech,
)
from began.media_fragments import name_channel, name_part
from began.spectrogram import FLOOR_DB, SpectrogramConfig, compute_spectrograms, stream_spectrogram, to_decibels

NORMALIZED = SpectrogramConfig.of("normalized")


@pytest.fixture
def speech():
    """A second and a half of noise whose level changes 12 times a second, as syllables do: float32 (24000,), 16 kHz."""
    generator = np.random.default_rng(0)
    syllables = 0.05 + np.abs(np.sin(np.arange(24_000) * 2 * np.pi * 6 / 16_000))
    return (0.1 * syllables * generator.standard_normal(24_000)).astype(np.float32)


def hear(waveform):
    """What the networks get of a waveform: float32 (512, n_frames)."""
    speech = measure_speech([waveform])
    return compute_spectrograms(speech.gain * waveform[np.newaxis, speech.start : speech.end], NORMALIZED)[0]


@pytest.mark.parametrize("front_end_gain", [1.0, 0.01])
def test_windows_of_pauses_hold_no_speech(speech, front_end_gain):
    """Silence, noise that would be cut off at the ends, and a click; quiet speech is speech."""
    noise = np.random.default_rng(1).standard_normal(48_000).astype(np.float32)
    gain = measure_speech([front_end_gain * np.concatenate([speech, 1e-4 * noise, speech])]).gain

    def measure(window):
        return len(window[find_window_speech(front_end_gain * window, gain)]) / 16_000

    click, begins = np.zeros((2, 48_000), np.float32)
    click[20_000:20_005], begins[-1600:] = 0.5, speech[:1600]
    for window, seconds in ((0 * noise, 0), (0.01 + 0 * noise, 0), (1e-4 * noise, 0), (click, 0), (begins, 0.09)):
        assert measure(window) == pytest.approx(seconds, abs=0.02)
    assert measure(0.06 * speech) > 1
    assert measure(speech[:100]) == 0  # shorter than what a level is measured over
    for n in (8_000, 16_000, 16_017):  # speech from end to end
        assert measure(speech[:n]) == n / 16_000
    for place in (0, 100, 319, 47_685, 47_995):  # clicks at the ends are none either
        assert measure(np.roll(click, place - 20_000)) == 0


@pytest.mark.parametrize("gain_db", [-40, -12, 6])
def test_gain_changes_nothing(speech, gain_db):
    altered = measure_speech([speech * np.float32(10 ** (gain_db / 20))])
    measured = measure_speech([speech])
    assert (altered.start, altered.end) == (measured.start, measured.end)
    assert 20 * np.log10(altered.gain / measured.gain) == pytest.approx(-gain_db, abs=0.11)  # a step of the histogram


@pytest.mark.parametrize(("before", "after"), [(16_000, 48_000), (4_321, 777)])
def test_silence_around_changes_nothing(speech, before, after):
    measured, padded = measure_speech([speech]), measure_speech([np.pad(speech, (before, after))])
    assert 20 * np.log10(padded.gain / measured.gain) == pytest.approx(0, abs=0.11)
    assert abs(padded.start - before - measured.start) <= 32  # 2 ms
    assert abs(padded.end - before - measured.end) <= 32


def test_a_constant_offset_changes_nothing(speech):
    measured, shifted = measure_speech([speech]), measure_speech([speech + np.float32(0.04)])
    assert measured == shifted
    np.testing.assert_allclose(hear(speech)[:, 1:-1], hear(speech + np.float32(0.04))[:, 1:-1], atol=1e-4)  # but for its ends


def test_a_click_is_no_speech(speech):
    clicked = np.pad(speech, (8_000, 8_000))
    clicked[100] = 1.0
    assert measure_speech([clicked]).gain == pytest.approx(measure_speech([speech]).gain, rel=0.02)


@pytest.mark.parametrize("n_samples", [1_000, 16_000, 160_000])
def test_a_click_in_digital_silence_is_refused(tmp_path, n_samples):
    clicked = np.zeros(n_samples, np.float32)
    clicked[n_samples // 2] = 0.5
    assert measure_speech([clicked]) is None
    soundfile.write(tmp_path / "a.wav", clicked, 16_000)
    with pytest.raises(InputError, match="found silence, but for single clicks; expected speech"):
        find_speech(tmp_path / "a.wav")
    # Sound that is all there is, however short, and 20 ms of it among nothing, are taken.
    assert measure_speech([np.sin(np.arange(200, dtype=np.float32))]) is not None
    clicked[n_samples // 2 : n_samples // 2 + 320] = np.sin(np.arange(320))
    assert measure_speech([clicked]) is not None


def test_loud_windows_get_the_common_level(speech):
    measured = measure_speech([speech])
    windows = np.lib.stride_tricks.sliding_window_view(measured.gain * speech, 320)[::32]
    loud = np.percentile(10 * np.log10(windows.var(axis=1)), 95)
    assert loud == pytest.approx(LOUD_LEVEL_DB, abs=0.2)


def test_blocks_are_measured_as_the_whole(speech):
    long = np.tile(np.pad(speech, (1_000, 0)), 5)
    assert measure_speech(np.array_split(long, 11)) == measure_speech([long])
    assert measure_speech([np.zeros(0, np.float32), long]) == measure_speech([long])


def test_shorter_than_a_window(speech):
    found = measure_speech([speech[1_000:1_200]])
    assert (found.start, found.end) == (0, 200)
    assert measure_speech([speech[:1]]) is None and measure_speech([]) is None


def test_a_file_of_constant_value_is_refused(tmp_path):
    soundfile.write(tmp_path / "constant.wav", np.full(32_000, 0.3), 16_000)
    with pytest.raises(InputError, match="constant.wav: found silence"):
        list(stream_speech(tmp_path / "constant.wav", "normalized"))


def test_files_are_cut_and_scaled(tmp_path, speech):
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.pad(speech, (20_000, 9_000)), 16_000, subtype="FLOAT")
    found = find_speech(path)
    waveform = np.concatenate(list(stream_speech(path, "normalized")))
    np.testing.assert_allclose(waveform, read_audio(path)[found.start : found.end] * found.gain, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(stream_chunks(path, "normalized"))), cut_chunks(waveform))
    trimmed = np.concatenate(list(stream_speech(path, "trimmed")))
    np.testing.assert_array_equal(trimmed, read_audio(path)[found.start : found.end])
    np.testing.assert_array_equal(np.concatenate(list(stream_speech(path))), read_audio(path))


@pytest.mark.parametrize("front_end", [*FRONT_ENDS, "noise", "channel"])
@pytest.mark.parametrize("speed", [1.0, 0.9])
def test_a_part_is_heard_and_hashed_as_a_file_of_its_own(tmp_path, speech, front_end, speed):
    padded = np.pad(speech, (8_000, 8_000))
    soundfile.write(tmp_path / "whole.wav", np.concatenate([speech[::-1], padded, speech]), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "alone.wav", padded, 16_000, subtype="FLOAT")
    heard = []
    for path in (tmp_path / "alone.wav", name_part(tmp_path / "whole.wav", 1.5, 4.0)):
        if front_end not in FRONT_ENDS:
            blocks = stream_augmented_speech(path, "normalized", speed, (0, 0), front_end == "channel")
        else:
            blocks = stream_speech(path, front_end, speed)
        heard.append(np.concatenate(list(blocks)))
        assert hash_sound(path) == hash_sound(load_recording(path)) == hash_sound(tmp_path / "alone.wav")
    np.testing.assert_array_equal(*heard)


def test_only_the_band_of_wideband_speech_is_seen(speech):
    decibels = to_decibels(hear(speech), NORMALIZED)
    assert decibels.min() == pytest.approx(FLOOR_DB, abs=0.05)
    np.testing.assert_allclose(decibels[:4], FLOOR_DB, atol=0.05)  # under 50 Hz
    np.testing.assert_allclose(decibels[448:], FLOOR_DB, atol=0.05)  # from 7 kHz
    assert (decibels[5:447].mean(axis=1) > FLOOR_DB + 1).all()


@pytest.mark.parametrize("config", [SpectrogramConfig(), NORMALIZED, SpectrogramConfig(magnitude="linear")])
@pytest.mark.parametrize("n_samples", [1, 511, 512, 16_000, 40_001])
def test_a_spectrogram_in_pieces_is_that_of_the_whole(config, n_samples):
    waveform = (np.random.default_rng(1).standard_normal(n_samples) / 10).astype(np.float32)
    whole = compute_spectrograms(waveform[np.newaxis], config)[0]
    pieces = np.concatenate(list(stream_spectrogram(np.array_split(waveform, 7), config)), axis=1)
    assert whole.shape == (512, 1 + n_samples // 512)
    np.testing.assert_allclose(pieces, whole, atol=1e-5 * max(1, whole.max()))


def test_settings_without_a_front_end_are_the_literal_ones():
    settings = SpectrogramConfig().to_dict()
    assert "front_end" not in settings and SpectrogramConfig.from_dict(settings).front_end == "literal"
    assert SpectrogramConfig.from_dict(NORMALIZED.to_dict()) == NORMALIZED
    with pytest.raises(InputError, match="front_end=other"):
        SpectrogramConfig.from_dict({**settings, "front_end": "other"})


def test_noisy_copies_have_noise_below_the_speech(tmp_path, speech):
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.pad(speech, 16_000), 16_000)
    clean = np.concatenate(list(stream_speech(path, "normalized")))
    copies = [np.concatenate(list(stream_augmented_speech(path, "normalized", 1.0, (0, number)))) for number in range(8)]
    again = np.concatenate(list(stream_augmented_speech(path, "normalized", 1.0, (0, 3))))
    np.testing.assert_array_equal(copies[3], again)
    assert min(map(len, copies)) >= len(clean) and len({copy.std() for copy in copies}) == 8
    loudest = max(10 * np.log10(np.var(copy[:800])) for copy in copies if len(copy) > len(clean) + 16_000)
    assert LOUD_LEVEL_DB - 40 < loudest < LOUD_LEVEL_DB - 9


def test_channels_colour_the_sound_and_end_its_band(tmp_path, speech):
    """A channel changes no level by more than it may, and those with a band leave nothing far outside it."""
    hz = np.linspace(0, 8_000, 2049)
    gains_db = [
        20 * np.log10(np.abs(np.fft.rfft(draw_channel(np.random.default_rng(seed)), 4096)) + 1e-6) for seed in range(40)
    ]
    within = np.array([gain_db[(hz > 450) & (hz < 3_200)] for gain_db in gains_db])
    assert np.abs(within).max() < COLOUR_DB + 1
    is_coloured = np.ptp(within, axis=1) > 2
    has_band = np.array([gain_db[hz > 7_500].max() < -30 for gain_db in gains_db])
    assert 0.3 < is_coloured.mean() < 0.7 and 0.6 < has_band.mean() < 0.9
    path = tmp_path / "speech.wav"
    soundfile.write(path, np.pad(speech, 16_000), 16_000)
    for number in range(6):
        copy = np.concatenate(list(stream_augmented_speech(path, "normalized", 1.0, (0, number), random_channel=True)))
        assert len(copy) >= len(speech) and measure_speech([copy]).gain == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("factor", [1.0, 0.1])
def test_trimmed_copies_have_the_level_of_their_recording(tmp_path, speech, channel, factor):
    path = tmp_path / "speech.wav"
    soundfile.write(path, factor * np.pad(speech, 16_000), 16_000, subtype="FLOAT")
    for number in range(4):
        copy = np.concatenate(list(stream_augmented_speech(path, "trimmed", 1.0, (0, number), channel)))
        assert measure_speech([copy]).gain == pytest.approx(find_speech(path).gain, rel=0.1)
        normalized = np.concatenate(list(stream_augmented_speech(path, "normalized", 1.0, (0, number), channel)))
        np.testing.assert_allclose(copy * find_speech(path).gain, normalized, rtol=1e-5)


def test_a_filter_in_pieces_is_that_of_the_whole(speech):
    response = draw_channel(np.random.default_rng(2))
    pieces = np.concatenate(list(_filter(np.array_split(speech, 9), response)))
    np.testing.assert_allclose(pieces, np.convolve(speech, response)[: len(speech)], atol=1e-5)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_a_held_recording_is_heard_as_its_file(speech, tmp_path, front_end):
    """Channels and parts, too, whose names say more than the file's."""
    stereo = np.stack([speech, np.roll(speech, 3000)], axis=1)
    soundfile.write(tmp_path / "st.wav", stereo, 16_000, subtype="FLOAT")
    for path in (tmp_path / "st.wav", name_channel(tmp_path / "st.wav", "left"), name_part(tmp_path / "st.wav", 0.25, 1.25)):
        held = load_recording(path)
        assert locate_speech(held, front_end) == locate_speech(path, front_end)
        blocks = [np.concatenate(list(stream_speech(one, front_end))) for one in (held, path)]
        assert (blocks[0] == blocks[1]).all()


@pytest.mark.parametrize("n_block", [500, 16_000, 400_000])
def test_long_pauses_are_shortened(speech, n_block):
    """Whatever blocks they come in: what is kept are their ends, and shorter pauses and all speech stay as they are."""
    gain = measure_speech([speech]).gain
    short, long = 1e-4 * np.random.default_rng(1).standard_normal((2, 160_000)).astype(np.float32)
    recording = np.concatenate([speech, short[:9_600], speech, long, speech])
    blocks = [recording[start : start + n_block] for start in range(0, len(recording), n_block)]
    heard = np.concatenate(list(shorten_pauses(blocks, gain)))
    n_cut = len(recording) - len(heard)
    assert len(long) - n_cut == pytest.approx(0.2 * 16_000, abs=1_280)  # levels are measured in windows of 20 ms
    kept = len(speech) + 9_600 + len(speech)
    np.testing.assert_array_equal(heard[: kept + 800], recording[: kept + 800])
    np.testing.assert_array_equal(heard[-len(speech) - 800 :], recording[-len(speech) - 800 :])


def test_where_no_pause_is_long_nothing_changes(speech):
    gain = measure_speech([speech]).gain
    np.testing.assert_array_equal(np.concatenate(list(shorten_pauses(np.array_split(speech, 7), gain))), speech)

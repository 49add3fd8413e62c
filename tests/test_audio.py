"""Sound files to chunks."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from began import audio
from began.audio import CHUNK_SAMPLES, cut_chunks, read_audio, stream_audio, stream_chunks
from began.errors import InputError


def sine(frequency_hz: float, seconds: float, rate_hz: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".wav", {"subtype": "PCM_16"}),
        (".wav", {"subtype": "PCM_U8"}),
        (".wav", {"subtype": "PCM_24"}),
        (".wav", {"subtype": "FLOAT"}),
        (".flac", {}),
        (".ogg", {}),
        (".aiff", {}),
        (".au", {}),
    ],
)
def test_reads_common_formats(tmp_path, suffix, options):
    wave = sine(440, 1.5, 16_000)
    soundfile.write(tmp_path / f"a{suffix}", wave, 16_000, **options)
    read = read_audio(tmp_path / f"a{suffix}")
    assert read.dtype == np.float32
    assert read.shape == (24_000,)
    assert np.corrcoef(read, wave)[0, 1] > 0.999


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_resamples_to_16_khz(tmp_path, rate_hz):
    soundfile.write(tmp_path / "a.wav", sine(1000, 2.0, rate_hz), rate_hz)
    read = read_audio(tmp_path / "a.wav")
    assert abs(len(read) - 32_000) <= 1
    spectrum = np.abs(np.fft.rfft(read[:32_000], 32_000))
    assert spectrum.argmax() / 2 == pytest.approx(1000, abs=0.5)
    assert np.abs(read[8000:24_000]).max() == pytest.approx(0.5, abs=0.01)


def test_channels_are_averaged(tmp_path):
    left, right = sine(300, 1.0, 16_000), sine(900, 1.0, 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_streaming_equals_whole(tmp_path, monkeypatch, rate_hz):
    generator = np.random.default_rng(1)
    soundfile.write(tmp_path / "a.wav", generator.uniform(-0.9, 0.9, (round(5.37 * rate_hz), 2)), rate_hz)
    whole, chunks = read_audio(tmp_path / "a.wav"), cut_chunks(read_audio(tmp_path / "a.wav"))
    monkeypatch.setattr(audio, "BLOCK_SECONDS", 1)
    blocks = list(stream_audio(tmp_path / "a.wav"))
    assert len(blocks) >= 5
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    np.testing.assert_allclose(np.concatenate(list(stream_chunks(tmp_path / "a.wav"))), chunks, atol=1e-6)


@given(
    n_samples=st.integers(0, 80_000),
    hop=st.sampled_from([1, 4_000, 10_001, 16_000]),
    tail=st.sampled_from(audio.TAILS),
    cuts=st.lists(st.integers(1, 30_000), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_chunks_however_the_waveform_arrives(n_samples, hop, tail, cuts):
    if hop == 1:
        n_samples = min(n_samples, 16_050)
    waveform = np.arange(1, n_samples + 1, dtype=np.float32)
    chunks = cut_chunks(waveform, hop_samples=hop, tail=tail)
    starts = np.arange(0, max(0, n_samples - CHUNK_SAMPLES) + 1, hop) if n_samples >= CHUNK_SAMPLES else []
    for start, chunk in zip(starts, chunks, strict=False):
        np.testing.assert_array_equal(chunk, waveform[start : start + CHUNK_SAMPLES])
    covered = starts[-1] + CHUNK_SAMPLES if len(starts) else 0
    has_tail = tail != "drop" and n_samples > covered
    assert len(chunks) == len(starts) + has_tail
    if has_tail:
        assert chunks[-1].max() == n_samples  # the last sample is not lost
    blocks, position = [], 0
    for cut in cuts:
        blocks.append(waveform[position : position + cut])
        position += cut
    blocks.append(waveform[position:])
    pieces = list(audio._chunk_blocks(blocks, hop, tail))
    together = np.concatenate(pieces) if pieces else np.zeros((0, CHUNK_SAMPLES), np.float32)
    np.testing.assert_array_equal(together, chunks)


def test_tails():
    waveform = np.arange(1, 24_001, dtype=np.float32)
    assert len(cut_chunks(waveform, tail="drop")) == 1
    np.testing.assert_array_equal(cut_chunks(waveform, tail="overlap")[1], waveform[8000:])
    padded = cut_chunks(waveform, tail="pad")[1]
    np.testing.assert_array_equal(padded[:8000], waveform[16_000:])
    assert not padded[8000:].any()


def test_short_utterance_is_kept_unless_dropped():
    short = np.ones(5_000, np.float32)
    for tail in ("overlap", "pad"):
        chunks = cut_chunks(short, tail=tail)
        assert chunks.shape == (1, CHUNK_SAMPLES)
        assert chunks[0, :5_000].all()
        assert not chunks[0, 5_000:].any()
    assert cut_chunks(short, tail="drop").shape == (0, CHUNK_SAMPLES)
    assert cut_chunks(np.ones(16_000, np.float32), tail="overlap").shape == (1, CHUNK_SAMPLES)


@pytest.mark.parametrize("arguments", [{"tail": "keep"}, {"hop_samples": 0}, {"hop_samples": 16_001}])
def test_unknown_options_are_refused(arguments):
    with pytest.raises(ValueError):
        cut_chunks(np.zeros(16_000, np.float32), **arguments)


def test_refuses_two_dimensions():
    with pytest.raises(ValueError, match="one dimension"):
        cut_chunks(np.zeros((2, 16_000), np.float32))


def test_refuses_what_is_no_usable_sound(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not sound at all, but long enough for a header")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, 0.1] * 100), 16_000, subtype="FLOAT")
    for suffix in ("wav", "flac"):
        soundfile.write(tmp_path / f"whole.{suffix}", np.random.default_rng(0).uniform(-1, 1, 32_000), 16_000)
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
    found = {
        "absent.wav": "no such file",
        "empty.wav": "0 bytes",
        "text.wav": "cannot be decoded",
        "folder.wav": "a folder",
        "none.wav": "without samples",
        "nan.wav": "not finite",
        "cut.wav": "truncated",
        "cut.flac": "truncated|cannot be decoded",
    }
    for name, words in found.items():
        with pytest.raises(InputError, match=words) as error:
            read_audio(tmp_path / name)
        assert name in str(error.value)


def test_librispeech_file(shared_data):
    path = next(iter(sorted((shared_data / "LibriSpeech").rglob("*.flac"))))
    np.testing.assert_array_equal(read_audio(path), soundfile.read(path, dtype="float32")[0])


def test_speed_shortens_the_sound_and_raises_its_pitch(tmp_path):
    path = tmp_path / "sine.wav"
    soundfile.write(path, np.sin(2 * np.pi * 400 * np.arange(32_000) / 16_000), 16_000)
    faster = read_audio(path, speed=1.25)
    assert len(faster) == pytest.approx(32_000 / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(faster[:16_000] * np.hanning(16_000)))
    assert spectrum.argmax() == pytest.approx(500, abs=1)

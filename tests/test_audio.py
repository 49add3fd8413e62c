"""Sound files to chunks."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from began import audio
from began.audio import hash_sound, load_recording, measure_seconds, read_audio, stream_audio
from began.chunks import CHUNK_SAMPLES, TAILS, chunk_blocks, cut_chunks
from began.containers import find_unread_codec
from began.errors import InputError
from began.find_sounds import find_sounds
from began.front_end import stream_chunks
from began.media_fragments import name_channel, name_part
from began.mpeg import measure_mpeg_frame
from experiments.corpora.folders import probe, read_table, try_each


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


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".aiff", ".caf"])
def test_parts_of_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.9, 0.9, 50_000), 16_000)
    whole = read_audio(path)
    for start, end in ((0, 1.5), (0.25, 0.75), (1.123456, 3.125)):
        part = name_part(path, start, end)
        np.testing.assert_allclose(read_audio(part), whole[round(start * 16_000) : round(end * 16_000)], atol=1e-4)
        assert measure_seconds(part) == pytest.approx(end - start, abs=1e-4)
        assert try_each([part], probe)[1] == []
    with pytest.raises(InputError, match=r"a\.\w+#t=3,4: found a file of 3\.125 s; expected one that has this part"):
        read_audio(name_part(path, 3, 4))
    with pytest.raises(InputError, match="no such file"):
        read_audio(f"{tmp_path}/b.wav#t=0,1")


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".ogg", {"subtype": "VORBIS"}),
        (".ogg", {"subtype": "OPUS"}),
        (".mp3", {"bitrate_mode": "VARIABLE", "compression_level": 0.9}),
        (".mp3", {"bitrate_mode": "CONSTANT", "compression_level": 0.9}),
    ],
)
def test_parts_of_lossy_files_are_those_of_the_whole(tmp_path, suffix, options):
    """libsndfile's jumps end beside the sample, or decode what follows from too little (findings/libsndfile-*-seek.sh)."""
    path, seconds = tmp_path / f"a{suffix}", np.arange(70 * 16_000 + 77) / 16_000
    tone = 0.3 * np.sin(2 * np.pi * (100 * seconds + 30 * seconds**2))
    with soundfile.SoundFile(path, "w", 16_000, 1, **options) as file:
        for start in range(0, len(tone), 16_000):
            file.write(tone[start : start + 16_000])
    whole = read_audio(path)
    for start, end in ((1, 2), (3.0003, 5), (61.5, 62.5), (66, 68), (69.9, 70)):
        part = read_audio(name_part(path, start, end))
        np.testing.assert_allclose(part, whole[round(start * 16_000) : round(end * 16_000)], atol=1e-6)


@pytest.mark.parametrize("part", ["1-2,3", "0,1e999", "1e308,1e308", "--,1", "0,5.5"])
def test_what_is_no_part_of_a_file(part, tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 2.0, 8_000), 8_000)
    with pytest.raises(InputError, match=r"a\.wav#t=.*: found (no such file|a file of 2 s)"):
        read_audio(f"{tmp_path / 'a.wav'}#t={part}")


@pytest.mark.parametrize(("part", "ends"), [("1,1", "where"), ("1,1.00001", "where"), ("1.5,1", "before"), ("3,3", "where")])
def test_a_part_without_samples_is_not_called_one_that_the_file_lacks(part, ends, tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 2.0, 8_000), 8_000)
    said = rf"a\.wav#t={part}: found a part that ends {ends} it starts, at 8000 Hz; expected at least one sample\. Correct"
    with pytest.raises(InputError, match=said):
        read_audio(f"{tmp_path / 'a.wav'}#t={part}")


def test_a_part_behind_the_end_of_a_file_of_unknown_length(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, sine(440, 2.0, 8_000), 8_000)
    content = path.read_bytes()
    path.write_bytes(content[:21] + bytes([content[21] & 0xF0, 0, 0, 0, 0]) + content[26:])
    assert len(read_audio(name_part(path, 0.5, 2.0))) == 24_000
    for part in (name_part(path, 0.5, 2.5), name_part(path, 3.0, 4.0)):
        with pytest.raises(InputError, match=r"a\.flac#t=.*: found a file that ends before; expected one that has this part"):
            read_audio(part)


@pytest.mark.parametrize(("seconds", "is_held"), [(60.0, True), (60.1, False)])
@pytest.mark.parametrize("knows", [True, False])
def test_up_to_a_minute_is_held_whether_its_length_is_known_or_not(tmp_path, seconds, is_held, knows):
    path = tmp_path / "a.flac"
    soundfile.write(path, sine(440, seconds, 8_000), 8_000)
    content = path.read_bytes()
    if not knows:
        path.write_bytes(content[:21] + bytes([content[21] & 0xF0, 0, 0, 0, 0]) + content[26:])
    held = load_recording(path)
    assert isinstance(held, audio.Recording) == is_held and hash_sound(held) == hash_sound(path)
    np.testing.assert_array_equal(read_audio(held), read_audio(path))


def test_a_file_that_is_called_like_a_part(tmp_path):
    soundfile.write(tmp_path / "a.wav#t=0,1", np.tile([0.1, -0.1], 16_000), 16_000, format="WAV")
    assert len(read_audio(tmp_path / "a.wav#t=0,1")) == 32_000


def test_the_hash_of_a_sound_is_that_of_its_samples(tmp_path):
    wave = (sine(300, 1.3, 22_050) * 30_000).round().astype(np.int16)
    forms = {
        "a.wav": (wave, 22_050, {}),
        "b.flac": (wave, 22_050, {}),
        "c.aiff": (wave, 22_050, {}),
        "float.wav": (wave / 32_768, 22_050, {"subtype": "FLOAT"}),
        "24.flac": (wave / 32_768, 22_050, {"subtype": "PCM_24"}),
        "negative zeros.wav": (np.where(wave == 0, -0.0, wave / 32_768), 22_050, {"subtype": "FLOAT"}),
        "stereo.wav": (np.stack([wave, wave], axis=1), 22_050, {}),
    }
    others = {
        "one sample.wav": (np.where(np.arange(len(wave)) == 20_000, wave + 1, wave), 22_050, {}),
        "shorter.wav": (wave[:-1], 22_050, {}),
        "faster.wav": (wave, 24_000, {}),
        "quieter.wav": (wave // 2, 22_050, {}),
    }
    for name, (samples, rate, options) in (forms | others).items():
        soundfile.write(tmp_path / name, samples, rate, **options)
    soundfile.write(tmp_path / "resampled.wav", read_audio(tmp_path / "a.wav"), 16_000)
    assert len({hash_sound(tmp_path / name) for name in forms}) == 1
    assert len({hash_sound(tmp_path / name) for name in ("a.wav", "resampled.wav", *others)}) == 2 + len(others)
    assert hash_sound(load_recording(tmp_path / "b.flac")) == hash_sound(tmp_path / "a.wav")


@given(
    n_samples=st.integers(0, 80_000),
    hop=st.sampled_from([1, 4_000, 10_001, 16_000]),
    tail=st.sampled_from(TAILS),
    cuts=st.lists(st.integers(1, 30_000), max_size=6),
)
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
    pieces = list(chunk_blocks(blocks, hop, tail))
    together = np.concatenate(pieces) if pieces else np.zeros((0, CHUNK_SAMPLES), np.float32)
    np.testing.assert_array_equal(together, chunks)


@pytest.mark.parametrize(("n_samples", "together"), [(CHUNK_SAMPLES, 60), (7 * CHUNK_SAMPLES, 8), (90 * CHUNK_SAMPLES, 1)])
def test_chunks_that_overlap_take_no_more_memory(n_samples, together):
    """Windows of a minute, ten a second, would be 2 GB of a minute's block."""
    blocks = [np.arange(60 * CHUNK_SAMPLES, dtype=np.float32)] * 2
    hop = CHUNK_SAMPLES // 4
    pieces = list(chunk_blocks(blocks, hop, "drop", n_samples))
    assert max(map(len, pieces)) == together and all(piece.flags.c_contiguous for piece in pieces)
    assert sum(map(len, pieces)) == (120 * CHUNK_SAMPLES - n_samples) // hop + 1
    whole = np.concatenate(blocks)
    for number, chunk in enumerate(chunk for piece in pieces for chunk in piece):
        assert chunk[0] == whole[number * hop] and chunk[-1] == whole[number * hop + n_samples - 1]


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
    soundfile.write(tmp_path / "silent.flac", np.full(16_000, 0.25), 16_000)
    soundfile.write(tmp_path / "faint.wav", np.tile([7e-5, -7e-5], 8_000), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "integers.wav", np.tile([300.0, -300.0], 8_000), 16_000, subtype="DOUBLE")
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
        "silent.flac": "silence",
        "faint.wav": "silence",
        "integers.wav": "samples up to 300.* Divide integers in float samples",
        "cut.wav": "truncated",
        "cut.flac": "truncated|cannot be decoded",
    }
    for name, words in found.items():
        with pytest.raises(InputError, match=words) as error:
            read_audio(tmp_path / name)
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("Sounds/A.WAV", "upper and lower case count: write {folder}/sounds/a\\.wav"),
        ("sounds\\a.wav", r"write / between folders, not \\: {folder}/sounds/a\.wav"),
        (
            "sounds/cafe\u0301.wav",
            r"a file of that name is there, its letters composed in another way \(NFC\): write its name so",
        ),
        ("~/a.wav", "~ is not read: write the path in full"),
        ("file:///sounds/a.wav", "URLs are not read: give the path of a file on this machine"),
        ("sounds/b.wav", ""),
        ("a/" * 1_500 + "b.wav", ""),
    ],
)
def test_names_that_are_not_there_get_a_hint_everywhere(tmp_path, name, action):
    (tmp_path / "sounds").mkdir()
    for there in ("a.wav", "caf\u00e9.wav"):
        soundfile.write(tmp_path / "sounds" / there, sine(440, 1.0, 8_000), 8_000)
    path = Path(name) if ":" in name or "~" in name else tmp_path / name
    action = action.format(folder=re.escape(str(tmp_path)))
    with pytest.raises(InputError, match=f"no such file or folder{'; ' * bool(action)}{action}$"):
        find_sounds([path])
    action = action or "check the path"
    for read in (read_audio, read_table):
        with pytest.raises(InputError, match=rf"found no such file; expected .*\. (?i:{action})\.$"):
            read(path)


STAND_INS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 96044\n": ("a Git LFS pointer", "git lfs pull"),
    b"/annex/objects/MD5E-s96044--4d7a.wav\n": ("a git-annex pointer", "git annex get"),
    b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>Sign in</body></html>": ("a web page", "Download the sound itself"),
    b"<html><body>404</body></html>": ("a web page", "Download the sound itself"),
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>": ("a web page or other XML", "Download the sound itself"),
}


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".raw", ".m4a"])
@pytest.mark.parametrize("content", STAND_INS)
def test_text_in_the_place_of_a_sound_is_named(tmp_path, content, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    found, action = STAND_INS[content]
    with pytest.raises(InputError, match=f"found {found}.*; expected an undamaged sound file .*{action}"):
        read_audio(path)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.caf", "a.w64", "a.rf64", "a.ogg", "a.opus", "a.mp3"])
def test_samples_far_beyond_full_scale_are_found_in_every_format_that_can_hold_them(name, tmp_path):
    """Lossy formats keep them, too; and every command asks `try_each` before long work, which also looks quickly."""
    options = {"ogg": {}, "mp3": {}, "opus": {"format": "OGG", "subtype": "OPUS"}}.get(name[2:], {"subtype": "FLOAT"})
    noise = np.random.default_rng(0).uniform(-1, 1, 16_000)
    soundfile.write(tmp_path / name, 1000 * noise, 16_000, **options)
    for read in (probe, hash_sound):
        (problem,) = try_each([str(tmp_path / name)], read)[1]
        assert re.search(r"found samples up to \d{3}.*; expected samples from -1 to 1\.", problem)
    soundfile.write(tmp_path / name, noise, 16_000, **options)
    assert try_each([str(tmp_path / name)], probe)[1] == []


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".au", ".caf", ".w64"])
@pytest.mark.parametrize("value", [1e200, -1e39, np.inf, np.nan])
def test_samples_beyond_what_float32_holds_are_not_called_infinite(tmp_path, value, suffix):
    path, samples = tmp_path / f"a{suffix}", np.full((32_000, 2), 0.1)
    samples[20_000, 1] = value
    soundfile.write(path, samples, 16_000, subtype="DOUBLE")
    found = rf"samples up to {abs(value):g}; .* Divide integers" if np.isfinite(value) else "samples that are not finite"
    for name in (path, name_part(path, 1, 2), name_channel(path, "right")):
        with pytest.raises(InputError, match=found.replace("+", r"\+")):
            read_audio(name)


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


# ------------------------------------------------------------------------- lengths: unknown to the writer, or cut short

NOISE = 0.1 * np.random.default_rng(0).standard_normal(16_000)
SOUND = np.concatenate([NOISE, 0.01 * NOISE, NOISE])  # of variable bit rate where the format has one
FORMATS = ("wav", "aiff", "au", "caf", "w64", "rf64", "flac", "ogg", "opus", "mp3")


def write_sound(path: Path) -> bytes:
    """Writes three seconds in the format of the file's ending, and returns the file."""
    rate, options = 16_000, {}
    if path.suffix == ".opus":
        options = {"format": "OGG", "subtype": "OPUS"}
    elif path.suffix == ".mp3":
        rate, options = 44_100, {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
    soundfile.write(path, np.repeat(SOUND, 3)[: 3 * rate] if rate > 16_000 else SOUND, rate, **options)
    return path.read_bytes()


def edited(content: bytes, edits: dict[int, bytes]) -> bytes:
    """Returns a file with other bytes at some positions."""
    changed = bytearray(content)
    for position, piece in edits.items():
        changed[position : position + len(piece)] = piece
    return bytes(changed)


def wave_file(tag: int, bits: int, align: int, channels: int = 1, extension: bytes = b"", content: bytes = b"") -> bytes:
    """Returns a WAV file of noise, or of a content, with these entries in its header."""
    content = content or np.random.default_rng(0).integers(0, 256, 4_800, np.uint8).tobytes()
    form = struct.pack("<HHIIHH", tag, channels, 16_000, 16_000 * align, align, bits) + extension
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


PLACEHOLDERS = (0, 0x7FFF0000, 0x7FFFF000, 0x7FFFFFDB, 0x80000000, 0x80000024, 0xFFFFFFD3, 0xFFFFFFFF)


@pytest.mark.parametrize("size", PLACEHOLDERS)
@pytest.mark.parametrize("riff", [None, 0, 36, 0x7FFFF024, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "IMA_ADPCM"])
def test_wav_from_a_pipe_is_whole(tmp_path, size, riff, subtype):
    soundfile.write(tmp_path / "a.wav", SOUND, 16_000, subtype=subtype)
    content, whole = (tmp_path / "a.wav").read_bytes(), read_audio(tmp_path / "a.wav")
    edits = {content.index(b"data") + 4: struct.pack("<I", size)} | ({} if riff is None else {4: struct.pack("<I", riff)})
    (tmp_path / "a.wav").write_bytes(edited(content, edits))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), whole)
    assert measure_seconds(tmp_path / "a.wav") == pytest.approx(3, abs=0.06)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_chunks_behind_sound_of_unknown_length_are_no_samples(tmp_path, size):
    content, whole = write_sound(path := tmp_path / "a.wav"), read_audio(tmp_path / "a.wav")
    tags = b"LIST\x1c\0\0\0INFOISFT\x0f\0\0\0Lavf59.27.100 x\0"
    for behind in (tags, tags + b"id3 \x04\x02\0\0" + b"\x7f\x80" * 258, tags + b"id3 \3\0\0\0abc"):
        path.write_bytes(edited(content, {content.index(b"data") + 4: struct.pack("<I", size)}) + behind)
        np.testing.assert_array_equal(read_audio(path), whole)


@pytest.mark.parametrize(
    ("suffix", "edits"),
    [
        (".aiff", {b"FORM": b"\0\0\0\0", b"SSND": b"\0\0\0\0"}),
        (".aiff", {b"FORM": b"\x7f\0\0\x2e", b"SSND": b"\x7f\0\0\0"}),
        (".au", {b".snd\0\0\0\x18": b"\xff\xff\xff\xff"}),
        (".au", {b".snd\0\0\0\x18": b"\0\0\0\0"}),
        (".caf", {b"data": b"\xff" * 8}),
        (".rf64", {b"ds64\x1c\0\0\0": bytes(24)}),
        (".rf64", {b"ds64\x1c\0\0\0": b"\xff" * 24}),
        (".w64", {b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a": bytes(8)}),
        (".flac", {b"\xc4\0\xf0": b""}),
    ],
)
def test_other_containers_without_a_length_are_whole(tmp_path, suffix, edits):
    path = tmp_path / f"a{suffix}"
    content = write_sound(path)
    whole = read_audio(path)
    if suffix == ".flac":
        places = {21: bytes([content[21] & 0xF0, 0, 0, 0, 0])}  # the count of samples in STREAMINFO
    else:
        places = {content.rindex(name) + len(name): length for name, length in edits.items()}
    path.write_bytes(edited(content, places))
    np.testing.assert_array_equal(read_audio(path), whole)
    assert measure_seconds(path) == 3


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [11_025, 16_000, 44_100])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_without_its_first_frame_is_whole(tmp_path, mode, rate_hz, channels):
    """From a pipe: the frame that holds the number of frames is missing, and libsndfile guesses."""
    path, options = tmp_path / "a.mp3", {"bitrate_mode": mode, "compression_level": 0.5}
    soundfile.write(path, np.resize(np.repeat(SOUND, 3), (5 * rate_hz, channels)), rate_hz, **options)
    content, whole = path.read_bytes(), read_audio(path)
    frames = content[content.index(content[:2], 4) :]
    variants = {
        "bare": frames,
        "behind something else": b"xyz" + frames,
        "tagged": b"ID3\4\0\0\0\0\2\0" + bytes(256) + frames + b"TAG".ljust(128),
    }
    for name, variant in variants.items():
        path.write_bytes(variant)
        read = read_audio(path)
        assert 0 <= len(read) - len(whole) < 0.15 * 16_000, name  # the encoder's delay and padding are not cut off
        assert measure_seconds(path) == pytest.approx(len(read) / 16_000, abs=1e-3)
    path.write_bytes(content + content)
    assert len(read_audio(path)) > 1.99 * len(whole)
    for cut in (content[:-100], content[: len(content) // 3], frames[: len(frames) // 3 + 7], frames[:-10]):
        path.write_bytes(cut)
        with pytest.raises(InputError, match="a truncated file"):
            read_audio(path)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_with_another_number_of_frames_in_its_header(tmp_path, mode):
    path = tmp_path / "a.mp3"
    soundfile.write(path, SOUND, 16_000, bitrate_mode=mode, compression_level=0.5)
    content, whole = path.read_bytes(), read_audio(path)
    at = next(content.index(tag) for tag in (b"Xing", b"Info") if tag in content) + 8
    (n_frames,) = struct.unpack(">I", content[at : at + 4])
    for fewer in (1, 2):
        path.write_bytes(edited(content, {at: struct.pack(">I", n_frames - fewer)}))
        assert 0 <= len(read_audio(path)) - len(whole) < 0.15 * 16_000
    path.write_bytes(edited(content, {at: struct.pack(">I", n_frames + 1)}))
    with pytest.raises(InputError, match=f"found {n_frames} frames of {n_frames + 1} .* or the header is counted.* -c copy"):
        read_audio(path)
    path.write_bytes(edited(content, {at: struct.pack(">I", n_frames + 2)}))
    with pytest.raises(InputError, match=f"a truncated file: {n_frames} frames of the {n_frames + 2}"):
        read_audio(path)


def make_layer_2(kilobits: int, rate: int = 1, padding: int = 0) -> bytes:
    """Returns a frame of MPEG 1 layer II, mono, with noise in three bands (ISO 11172-3, section 2.4.1).

    Args:
        kilobits, rate: their numbers in the frame's header; rate 0 is 44.1 kHz, 1 is 48 kHz.
    """
    header = 0xFFFD << 16 | kilobits << 12 | rate << 10 | padding << 9 | 3 << 6
    codes = np.random.default_rng(0).integers(0, 27, 36)  # of three samples each
    bits = "0001" * 3 + "0" * (82 if rate == 0 else 76) + "10" * 3 + "001010" * 3 + "".join(f"{code:05b}" for code in codes)
    size = measure_mpeg_frame(header.to_bytes(4, "big")) - 4
    return header.to_bytes(4, "big") + int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def test_mpeg_layers_1_and_2(tmp_path):
    """They have no tag that counts the frames: the decoder guesses by the first, and stops there."""
    path, frame = tmp_path / "a.mp3", make_layer_2(10)
    padded = b"".join(make_layer_2(10, 0, padding) for padding in (1, 1, 1, 0, 1, 1, 1, 1, 1, 1) * 5)  # 192 kbit/s at 44.1 kHz
    tag = b"ID3\4\0\0\0\0\2\0" + bytes(256)
    for content, rate in ((frame * 50, 48_000), (tag + frame * 50 + b"TAG".ljust(128), 48_000), (padded, 44_100)):
        path.write_bytes(content)
        assert measure_seconds(path) == pytest.approx(50 * 1152 / rate, abs=1e-3)
        assert len(read_audio(path)) == pytest.approx(50 * 1152 / rate * 16_000, abs=16)
    for variable in (frame * 50 + make_layer_2(5) * 100, make_layer_2(5) * 50 + frame * 50):
        path.write_bytes(variable)
        with pytest.raises(
            InputError, match="MPEG layer II of variable bit rate, of which only a part would be read; expected"
        ):
            read_audio(path)
    path.write_bytes(frame * 49 + frame[:100])
    with pytest.raises(InputError, match="a truncated file: 49 whole frames, and 100 of 576 bytes of the last"):
        read_audio(path)


@pytest.mark.parametrize(
    ("version", "layer", "size"),
    [
        (3, 3, 4 * (12 * 320 // 48)),
        (3, 2, 144 * 192 // 48),
        (3, 1, 144 * 160 // 48),
        (2, 3, 4 * (12 * 160 // 24)),
        (2, 2, 144 * 96 // 24),
        (2, 1, 72 * 96 // 24),
        (0, 2, 144 * 96 // 12),
        (0, 1, 72 * 96 // 12),
        (1, 1, 0),
        (3, 0, 0),
    ],
)
def test_sizes_of_mpeg_frames(version, layer, size):
    assert measure_mpeg_frame(bytes([0xFF, 0xE1 | version << 3 | layer << 1, 0xA4, 0xC0])) == size


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_mp3_within_wav_is_whole(tmp_path, mode, tagged, size):
    content = b"LIST\4\0\0\0INFO"
    options = {"bitrate_mode": mode, "compression_level": 0.5}
    soundfile.write(tmp_path / "a.mp3", np.concatenate([SOUND, 0 * SOUND, SOUND]), 16_000, **options)
    frames = (tmp_path / "a.mp3").read_bytes()
    if not tagged:
        frames = frames[frames.index(frames[:2], 4) :]
        (tmp_path / "a.mp3").write_bytes(frames)
    whole = read_audio(tmp_path / "a.mp3")
    wave = wave_file(0x55, 0, 1, 1, struct.pack("<HHIHHH", 12, 1, 2, 144, 1, 1393), frames) + bytes(len(frames) % 2) + content
    if size is not None:
        wave = edited(wave, {wave.index(b"data") + 4: struct.pack("<I", size)})
    (tmp_path / "a.wav").write_bytes(wave)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), whole)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", FORMATS)
def test_files_cut_short_are_refused(tmp_path, suffix, share):
    path = tmp_path / f"a.{suffix}"
    content = write_sound(path)
    assert len(read_audio(path)) == pytest.approx(48_000, abs=3_000 if suffix == "opus" else 1)
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="cannot be decoded" if suffix == "flac" else "a truncated file"):
        read_audio(path)


def test_sphere_cut_short_and_containers_that_cannot_tell(tmp_path):
    path = tmp_path / "a.wav"  # as corpora of speech name such files
    soundfile.write(path, SOUND, 16_000, format="NIST")
    content = path.read_bytes()
    assert len(read_audio(path)) == 48_000
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match="a truncated file: .* bytes of sound of the 96000"):
        read_audio(path)
    for container in ("VOC", "IRCAM", "AVR", "MAT5"):
        soundfile.write(path, SOUND, 16_000, format=container)
        with pytest.raises(InputError, match=f"a {container} file, which does not tell whether all of it is there"):
            read_audio(path)


def first_page(packet: bytes) -> bytes:
    """Returns an Ogg stream of a single page."""
    return b"OggS\0\6" + bytes(20) + bytes([1, len(packet)]) + packet


SPHERE = b"NIST_1A\n   1024\nsample_count -i 48000\nsample_n_bytes -i 2\nsample_coding -s%d %b\nend_head\n"
SHORTEN = b"pcm,embedded-shorten-v2.00"
UNREAD_CODECS = {
    "AAC": ("wav", lambda sound: wave_file(0xFF, 16, 2)),
    "WMA": ("wav", lambda sound: wave_file(0xFFFE, 16, 2, 1, struct.pack("<HHIH", 22, 16, 0, 0x161) + bytes(14))),
    "MP2": ("wav", lambda sound: wave_file(0x50, 0, 1)),
    "0x0270": ("wav", lambda sound: wave_file(0x270, 0, 1)),
    "PCM of 64 bits": ("wav", lambda sound: wave_file(1, 64, 8)),
    "float of 16 bits": ("wav", lambda sound: wave_file(3, 16, 2)),
    "Speex": ("ogg", lambda sound: first_page(b"Speex   1.2.1".ljust(80, b"\0"))),
    "FLAC": ("oga", lambda sound: first_page(b"\x7fFLAC\1\0\0\1fLaC\0\0\0\x22" + bytes(34))),
    "Theora": ("ogg", lambda sound: first_page(b"\x80theora\3\2\1" + bytes(32))),
    "ALAC": ("caf", lambda sound: edited(sound, {28: b"alac" + bytes(4)})),
    "IMA4": ("caf", lambda sound: sound.replace(b"lpcm", b"ima4", 1)),
    "MAC6": ("aifc", lambda sound: sound.replace(b"ulaw", b"MAC6", 1)),
    "Yamaha ADPCM": ("w64", lambda sound: sound[:64] + b"\x20\0" + sound[66:]),
    "IMA ADPCM": ("rf64", lambda sound: sound.replace(b"\1\0\0\0\0\0\x10\0", b"\x11\0\0\0\0\0\x10\0", 1)),
    "G.721": ("w64", lambda sound: sound[:64] + b"\x40\0" + sound[66:]),
    "DTS": ("rf64", lambda sound: sound.replace(b"\1\0\0\0\0\0\x10\0", b"\1\x20\0\0\0\0\x10\0", 1)),
    "G.722": ("au", lambda sound: edited(sound, {15: b"\x18"})),
    "Shorten": ("sph", lambda sound: (SPHERE % (len(SHORTEN), SHORTEN)).ljust(1024) + b"ajkg" + bytes(9_000)),
}


@pytest.mark.parametrize("codec", UNREAD_CODECS)
def test_a_codec_that_libsndfile_lacks_is_no_damage(tmp_path, codec):
    suffix, change = UNREAD_CODECS[codec]
    path = tmp_path / f"a.{suffix}"
    options = {"aifc": {"format": "AIFF", "subtype": "ULAW"}, "sph": {"format": "NIST"}, "oga": {"format": "OGG"}}
    soundfile.write(path, SOUND, 16_000, **options.get(suffix, {}))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=rf"a\.{suffix}: found a sound in the codec {codec}, which is not read") as raised:
        read_audio(path)
    target = "a-converted.wav" if suffix == "wav" else "a.wav"
    assert str(raised.value).endswith(f". Convert it, for example: ffmpeg -i a.{suffix} {target}.")
    if suffix in ("wav", "ogg", "oga"):
        path.write_bytes(path.read_bytes()[:-3])
        with pytest.raises(InputError, match=r"found a truncated file: .* again"):
            read_audio(path)


@pytest.mark.parametrize("container", ["WAV", "WAVEX", "RF64", "W64", "CAF", "AIFF", "AU", "NIST", "OGG"])
def test_no_codec_of_libsndfile_counts_as_unread(tmp_path, container):
    for subtype in soundfile.available_subtypes(container):
        for endian in ("FILE", "LITTLE", "BIG"):
            # These two it does not write.
            if soundfile.check_format(container, subtype, endian) and not subtype.startswith(("MPEG", "DWVW")):
                soundfile.write(tmp_path / "a", sine(440, 0.5, 8_000), 8_000, subtype, endian, container)
                assert find_unread_codec(tmp_path / "a") == "", (subtype, endian)


DAMAGED_HEADERS = {
    "no format": ("wav", {20: bytes(16)}),
    "no codec": ("wav", {20: bytes(2)}),
    "no channels": ("wav", {20: b"\xff\0\0\0"}),
    "a rate of gigahertz": ("wav", {20: b"\xff\0\1\0\xff\xff\xff\xff"}),
    "no bits": ("wav", {34: bytes(2)}),
    "codec not in letters": ("caf", {28: b"\xff\0\1\2"}),
    "no name of a codec": ("ogg", {28: bytes(7)}),
    "no encoding": ("au", {12: bytes(4)}),
}


@pytest.mark.parametrize("damage", DAMAGED_HEADERS)
def test_a_damaged_header_is_not_taken_for_a_codec(tmp_path, damage):
    suffix, edits = DAMAGED_HEADERS[damage]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(edited(write_sound(path), edits))
    with pytest.raises(InputError, match=r"found a file that cannot be decoded .* Copy, download or export it again"):
        read_audio(path)


def test_one_flac_file_holds_one_sound(tmp_path):
    path, tag = tmp_path / "a.flac", b"ID3\4\0\0\0\0\2\0" + bytes(256)
    content = write_sound(path)
    for several in (content + content, tag + content + tag + content):
        path.write_bytes(several)
        with pytest.raises(InputError, match="several FLAC sounds one behind the other"):
            read_audio(path)
    path.write_bytes(tag + content)
    assert len(read_audio(path)) == 48_000


@pytest.mark.parametrize("tag", [b"", b"ID3\4\0\0\0\0\2\0" + bytes(256)])
@pytest.mark.parametrize("n_samples", [48_000, 3_000, 4_097, 40_960, 900_000])
def test_flac_whose_header_names_less_than_there_is(tmp_path, n_samples, tag):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.resize(SOUND, n_samples), 16_000)
    content, whole = path.read_bytes(), read_audio(path)
    with audio.open_audio(path) as file:
        assert file.frames == n_samples  # one that is right is kept
    for named in (1, n_samples // 3, n_samples - 1):
        path.write_bytes(tag + edited(content, {22: struct.pack(">I", named)}))
        np.testing.assert_array_equal(read_audio(path), whole)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_wrong_ending_does_no_harm(tmp_path, suffix):
    content = write_sound(tmp_path / f"a.{suffix}")
    whole = read_audio(tmp_path / f"a.{suffix}")
    for name in ("a.raw", "a.flac", "a.bin"):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_audio(tmp_path / name), whole)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_ogg_without_its_last_page_or_with_two_sounds(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    content = write_sound(path)
    path.write_bytes(content[: content.rindex(b"OggS")])
    with pytest.raises(InputError, match="without the last page"):
        read_audio(path)
    path.write_bytes(content + content)
    with pytest.raises(InputError, match="several Ogg sounds"):
        read_audio(path)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "caf", "w64", "rf64", "sph"])
def test_one_file_holds_one_sound(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, SOUND, 16_000, format="NIST" if suffix == "sph" else suffix)
    content = path.read_bytes()
    path.write_bytes(content + content)
    with pytest.raises(InputError, match="several sounds one behind the other; expected one sound"):
        read_audio(path)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "caf", "w64", "rf64"])
def test_headers_that_name_less_than_there_is(tmp_path, suffix):
    """A recorder that crashed: the header is from an earlier moment."""
    path = tmp_path / f"a.{suffix}"
    long = write_sound(path)
    soundfile.write(path, SOUND[:9_000], 16_000)
    short = path.read_bytes()
    header = len(short) - 18_000
    path.write_bytes(short[:header] + long[len(long) - 96_000 :])
    with pytest.raises(InputError, match="not brought up to date: it names 18000 of 96000 bytes"):
        read_audio(path)


def test_what_may_follow_the_sound(tmp_path):
    content = write_sound(tmp_path / "a.wav")
    chunk = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf59.27.100\0"
    for more in (chunk, chunk * 20, b"TAG".ljust(128), bytes(5_000)):
        (tmp_path / "a.wav").write_bytes(content + more)
        assert len(read_audio(tmp_path / "a.wav")) == 48_000


def test_samples_in_larger_containers(tmp_path):
    """libsndfile reads them as if they were packed, which is noise."""
    path, extension = tmp_path / "a.wav", struct.pack("<HHIH", 22, 20, 0, 1) + bytes.fromhex("000000001000800000aa00389b71")
    for bits, align in ((20, 3), (12, 2), (16, 0)):
        path.write_bytes(wave_file(1, bits, align))
        assert len(read_audio(path)) == 4_800 // (align or 2)
    for bits, align, channels in ((20, 4, 1), (8, 2, 1), (16, 4, 1), (16, 2, 2), (24, 8, 1), (24, 12, 2)):
        for tag in (1, 0xFFFE):
            path.write_bytes(wave_file(tag, bits, align, channels, extension))
            found = f"a header that contradicts itself: {channels} x {bits} bits in {align} bytes; expected"
            with pytest.raises(InputError, match=found):
                read_audio(path)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("low", [0, 99])
@pytest.mark.parametrize("tag", [1, 0xFFFE])
def test_24_bits_in_4_bytes(tmp_path, tag, low, channels):
    """libsndfile guesses by the first samples, not where the lowest byte is in use, and not in the extensible format."""
    samples = np.zeros((3_000, channels), "<i4")
    samples[1_100:] = ((sine(200, 1_900 / 16_000, 16_000) * 2**23).astype(int)[:, np.newaxis] << 8) + low
    extension = (struct.pack("<HHIH", 22, 24, 0, 1) + bytes.fromhex("000000001000800000aa00389b71")) * (tag > 1)
    (tmp_path / "a.wav").write_bytes(wave_file(tag, 24, 4 * channels, channels, extension, samples.tobytes()))
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), samples[:, 0] / 2**31, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- channels


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_channels_that_cancel_give_the_loudest_one(tmp_path, capsys, offset):
    left, silence = SOUND, np.zeros(48_000)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([-0.9 * left, left, silence], 1) + offset, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path), left + offset, atol=1e-6)
    assert "a.wav: its channels cancel each other; channel 2 is taken, not their mean" in capsys.readouterr().err


def test_channels_that_do_not_cancel_are_averaged(tmp_path, capsys):
    generator = np.random.default_rng(0)
    unrelated = 0.1 * generator.standard_normal((16_000, 8))
    for channels in (unrelated, unrelated[:, :2], unrelated * [1, 0, 0, 0, 0, 0, 0, 0], unrelated[:, :2] * [1, -0.1]):
        soundfile.write(tmp_path / "a.wav", channels, 16_000, subtype="FLOAT")
        np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), channels.mean(axis=1), atol=1e-6)
    assert capsys.readouterr().err == ""


def babble(n_samples: int, seed: int) -> np.ndarray:
    """Returns what is loud and soft as speech is: harmonics in bursts."""
    generator, time = np.random.default_rng(seed), np.arange(n_samples) / 16_000
    loud = np.repeat(generator.choice([0.01, 1.0], n_samples // 1600 + 1), 1600)[:n_samples]
    phases = generator.uniform(0, 2 * np.pi, 30)
    pitch = generator.uniform(100, 200)
    return 0.1 * loud * sum(np.sin(2 * np.pi * pitch * k * time + phases[k - 1]) / k for k in range(1, 31))


def test_speech_that_cancels_is_found_beneath_hum_noise_and_a_long_beginning(tmp_path, capsys, monkeypatch):
    speech, generator = babble(32_000, 0), np.random.default_rng(1)
    opposite = np.stack([speech, -speech], axis=1)
    hum = 0.5 * np.sqrt(2) * speech.std() * np.sin(2 * np.pi * 50 * np.arange(32_000) / 16_000)
    noise = generator.standard_normal((32_000, 2)) * speech.std()
    beginning = 1e-3 * generator.standard_normal((400_000, 2))
    monkeypatch.setattr(audio, "BLOCK_SECONDS", 10)  # in place of 60, so that the speech lies in a later block
    for number, channels in enumerate(
        (opposite + hum[:, np.newaxis], opposite + 0.5 * noise, opposite + 0.35 * noise, np.concatenate([beginning, opposite]))
    ):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, channels, 16_000, subtype="FLOAT")
        read = read_audio(path)
        assert min(np.abs(read - channel).max() for channel in channels.T) < 1e-6
        assert f"{number}.wav: its channels cancel each other" in capsys.readouterr().err


def test_ordinary_stereo_is_the_mean_to_the_bit(tmp_path, capsys, monkeypatch):
    """Two voices, one channel that is silent, two rooms, in-phase hum; and a file of several blocks."""
    left, right = babble(48_000, 0), babble(48_000, 1)
    rooms = np.exp(-np.arange(2_000) / 500) * np.random.default_rng(2).standard_normal((2, 2_000))
    hum = 0.3 * np.sin(2 * np.pi * 50 * np.arange(48_000) / 16_000)
    echoes = [0.1 * np.convolve(left, room)[:48_000] for room in rooms]
    for channels in ((left, right), (left, 0 * left), (left, left), (left, -0.1 * left), echoes, (left + hum, right + hum)):
        soundfile.write(tmp_path / "a.wav", np.stack(channels, axis=1), 16_000, subtype="FLOAT")
        mean = soundfile.read(tmp_path / "a.wav", dtype="float32")[0].mean(axis=1)
        for seconds in (60, 1):
            monkeypatch.setattr(audio, "BLOCK_SECONDS", seconds)
            np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), mean)
    assert capsys.readouterr().err == ""

"""Recordings of telephones and browsers: with PyAV they are read as any sound, without it the message says what to do."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import stft

from began import audio, media
from began.audio import hash_sound, load_recording, measure_seconds, read_audio, stream_audio
from began.errors import InputError, printable
from began.find_sounds import AUDIO_SUFFIXES
from began.media_fragments import name_part

SECONDS = 3
KINDS = {
    "a.m4a": ("ipod", "aac", 44_100, {}),
    "streamed.m4a": ("ipod", "aac", 48_000, {"movflags": "faststart"}),
    "in parts.mp4": ("mp4", "aac", 44_100, {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}),
    "lossless.m4a": ("ipod", "alac", 44_100, {}),
    "a.mov": ("mov", "pcm_s16le", 22_050, {}),
    "a.aac": ("adts", "aac", 16_000, {}),
    "a.amr": ("amr", "amr_nb", 8_000, {}),
    "a.3gp": ("3gp", "amr_nb", 8_000, {}),
    "a.webm": ("webm", "libopus", 48_000, {}),
    "of a browser.webm": ("webm", "libopus", 48_000, {"live": "1"}),
    "a.wma": ("asf", "wmav2", 44_100, {}),
    "named wrongly.wav": ("ipod", "aac", 32_000, {}),
}
"""Name -> container, codec, rate in Hz, options of the container."""
HEADS = {
    "a.m4a": b"\0\0\0\x1cftypM4A \0\0\2\0",
    "a.aac": bytes.fromhex("fff1504003dffcde02004c6176633630"),
    "a.amr": b"#!AMR\n\x04\x80\x38\x1f\xef\x9b\xa9\xf5\x8e@",
    "a.webm": bytes.fromhex("1a45dfa39f4286810142f7810142f281"),
    "a.wma": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "my voice.wav": b"\0\0\0\x14ftypqt  \0\0\2\0",
}


def make_voice(rate: int, n_channels: int = 1) -> np.ndarray:
    """Returns a gliding harmonic tone in syllables of unlike loudness, float32 (n_samples, n_channels)."""
    time = np.arange(SECONDS * rate) / rate
    phase = 2 * np.pi * (120 * time + 15 * time**2)
    tone = sum(np.sin(number * phase) / number for number in range(1, 9))
    loudness = 0.15 * np.abs(np.sin(2.3 * time**1.4)) + 0.01
    return np.stack([tone * loudness / (1 + channel) for channel in range(n_channels)], axis=1).astype(np.float32)


def encode(path: Path, kind: tuple, n_channels: int = 1) -> np.ndarray:
    """Writes a voice through PyAV and returns it."""
    import av

    container, codec, rate, options = kind
    samples = make_voice(rate, n_channels)
    layout = "mono" if n_channels == 1 else "stereo"
    with av.open(str(path), "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 12_200 if codec == "amr_nb" else 96_000
        stream.codec_context.open()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate, frame_size=size)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            file.mux(stream.encode(part))
    return samples


@pytest.fixture
def av():
    return pytest.importorskip("av", reason="PyAV is not installed")


@pytest.mark.extras
@pytest.mark.parametrize("name", KINDS)
def test_what_telephones_record_is_read_like_any_sound(av, tmp_path, name):
    kind = KINDS[name]
    samples = encode(tmp_path / name, kind)
    soundfile.write(tmp_path / "original.wav", samples, kind[2], subtype="FLOAT")
    original, read = read_audio(tmp_path / "original.wav"), read_audio(tmp_path / name)
    # Encoders fill up their last frame; ADTS, AMR and MP4 in parts do not say how late they begin; WMA loses its first frame.
    assert abs(len(read) - len(original)) < 0.08 * 16_000
    assert measure_seconds(tmp_path / name) == pytest.approx(len(read) / 16_000, abs=1e-3)
    if kind[1] == "amr_nb":  # which keeps no waveform
        spectra = [np.log10(np.abs(stft(sound[:47_000], nperseg=512)[2][5:100]) + 1e-3).ravel() for sound in (original, read)]
        assert np.corrcoef(spectra)[0, 1] > 0.98
        return
    delay, likeness = find_delay(original, read)
    assert likeness > 0.99
    assert abs(delay) < 0.08 * 16_000
    assert delay == 0 or kind[0] in ("adts", "asf", "mp4")
    if kind[1] in ("alac", "pcm_s16le"):
        np.testing.assert_allclose(read, original, atol=1e-4)


def find_delay(original: np.ndarray, read: np.ndarray) -> tuple[int, float]:
    """Returns by how many samples a sound comes later than another, and how alike they are then: 1 is equal."""
    part = original[16_000:32_000]
    correlations = np.correlate(read[12_000:36_000], part, "valid")
    delay = int(correlations.argmax()) - 4_000
    other = read[16_000 + delay :][: len(part)]
    return delay, float(part @ other / np.sqrt((part @ part) * (other @ other)))


@pytest.mark.extras
@pytest.mark.parametrize("name", ["a.m4a", "a.webm", "lossless.m4a"])
def test_channels_are_kept_apart(av, tmp_path, name):
    samples = encode(tmp_path / name, KINDS[name], n_channels=2)
    with audio.open_audio(tmp_path / name) as file:
        assert file.channels == 2
        read = np.concatenate(list(audio.read_blocks(file, 0.7)))
    for channel in range(2):
        level = np.sqrt((read[:, channel] ** 2).mean() / (samples[:, channel] ** 2).mean())
        assert level == pytest.approx(1, abs=0.05)


@pytest.mark.extras
@pytest.mark.parametrize("name", ["a.m4a", "a.webm"])
def test_parts_of_a_recording_are_exact(av, tmp_path, name):
    encode(tmp_path / name, KINDS[name])
    with audio.open_audio(tmp_path / name) as file:
        rate, whole = file.samplerate, np.concatenate(list(audio.read_blocks(file)))
        for start in (0, 1, 1_000, 77_777):
            file.seek(start)
            np.testing.assert_array_equal(file.read(500), whole[start : start + 500])
    soundfile.write(tmp_path / "part.wav", whole[round(1.1 * rate) : round(1.9 * rate)], rate, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(name_part(tmp_path / name, 1.1, 1.9)), read_audio(tmp_path / "part.wav"))
    with pytest.raises(InputError, match="a file that ends before"):
        read_audio(name_part(tmp_path / name, 1.1, 9.9))


@pytest.mark.extras
def test_equal_samples_have_the_hash_of_a_wav_file(av, tmp_path):
    encode(tmp_path / "a.mov", KINDS["a.mov"])
    with audio.open_audio(tmp_path / "a.mov") as file:
        soundfile.write(tmp_path / "a.wav", file.read(10**6), file.samplerate, subtype="PCM_16")
    assert hash_sound(tmp_path / "a.mov") == hash_sound(tmp_path / "a.wav")
    assert hash_sound(load_recording(tmp_path / "a.mov")) == hash_sound(tmp_path / "a.wav")


@pytest.mark.extras
@pytest.mark.parametrize("name", KINDS)
def test_recordings_cut_short_are_refused(av, tmp_path, name):
    """Where it is cut, an AMR or ADTS file can end by chance with a whole frame, and cannot be told from a whole file."""
    path = tmp_path / name
    encode(path, KINDS[name])
    content = path.read_bytes()
    expected = "cannot be decoded" if name in ("a.aac", "a.amr") else "a truncated file"
    for share in (0.999, 0.9, 0.51, 0.1):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InputError, match=expected):
            read_audio(path)


@pytest.mark.extras
@pytest.mark.parametrize("name", KINDS)
def test_damaged_recordings_are_read_or_refused(av, tmp_path, name, capfd):
    path = tmp_path / name
    encode(path, KINDS[name])
    content, generator = path.read_bytes(), np.random.default_rng(0)
    for n_bytes in (1, 3, 30) * 8:
        damaged = bytearray(content)
        for place in generator.integers(16, len(content), n_bytes):
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        try:
            assert len(read_audio(path)) < 2 * SECONDS * 16_000
        except InputError as error:
            assert "a.mov" in str(error) or path.name in str(error)
    assert capfd.readouterr().err == ""  # FFmpeg has opinions of its own


@pytest.mark.extras
def test_a_film_without_sound_and_a_playlist_are_refused(av, tmp_path):
    with av.open(str(tmp_path / "silent.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        for part in (frame, None):
            file.mux(stream.encode(part))
    with pytest.raises(InputError, match="without a sound track"):
        read_audio(tmp_path / "silent.mp4")
    encode(tmp_path / "a.m4a", KINDS["a.m4a"])
    (tmp_path / "list.m4a").write_text(f"#EXTM3U\n#EXTINF:3,\nfile:{tmp_path / 'a.m4a'}\n")
    with pytest.raises(InputError, match="cannot be decoded"):
        read_audio(tmp_path / "list.m4a")


@pytest.mark.extras
@pytest.mark.parametrize("name", ["http:a.m4a", "a b'\N{SNOWMAN}.m4a", "caf\udce9.m4a"])
def test_names_are_names_of_files(av, tmp_path, name):
    encode(tmp_path / "a.m4a", KINDS["a.m4a"])
    (tmp_path / "a.m4a").rename(tmp_path / name)
    assert len(read_audio(tmp_path / name)) > SECONDS * 16_000


@pytest.mark.extras
def test_a_long_recording_takes_no_more_memory(av, tmp_path, monkeypatch):
    encode(tmp_path / "a.m4a", KINDS["a.m4a"])
    monkeypatch.setattr(audio, "BLOCK_SECONDS", 0.5)
    held = []
    read = media.MediaFile.read

    def watch(self, n_frames, **options):
        samples = read(self, n_frames, **options)
        held.append(len(samples) + len(self._held))
        return samples

    monkeypatch.setattr(media.MediaFile, "read", watch)
    assert sum(map(len, stream_audio(tmp_path / "a.m4a"))) > SECONDS * 16_000
    assert max(held) < 0.6 * 44_100


# ------------------------------------------------------------------------------------------------------------ without PyAV


@pytest.mark.parametrize("name", HEADS)
def test_without_its_package_the_message_says_what_to_do(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / name
    path.write_bytes(HEADS[name] + bytes(3_000))
    with pytest.raises(InputError) as raised:
        read_audio(path)
    quoted = "'my voice.wav'" if " " in name else "a.wav"
    assert re.search(r"found a file of the kind [\w ]+, which needs the package av", str(raised.value))
    assert "Install it: pip install av; or convert it, for example: ffmpeg -i " in str(raised.value)
    assert quoted in str(raised.value)
    path = path.rename(tmp_path / "b.wav")
    with pytest.raises(InputError, match=r"ffmpeg -i b\.wav b-converted\.wav"):
        read_audio(path)


NOT_READ = {
    "a.avi": (b"RIFF\xf6\1\0\0AVI LIST", "AVI"),
    "a.flv": (b"FLV\1\5", "FLV"),
    "a.mpg": (b"\0\0\1\xba\x44", "MPEG"),
    "a.ts": ((b"G" + bytes(187)) * 9, "MPEG-TS"),
    "a.m2ts": ((bytes(4) + b"G" + bytes(187)) * 9, "MPEG-TS"),
    "a.wv": (b"wvpk\x1a", "WavPack"),
    "a.tta": (b"TTA1\1\0", "TTA"),
    "named wrongly.mp4": (b"FLV\1\5", "FLV"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_containers_that_are_not_read_are_not_called_damaged(tmp_path, name):
    beginning, kind = NOT_READ[name]
    (tmp_path / name).write_bytes(beginning + bytes(3_000))
    with pytest.raises(
        InputError, match=rf"found a file of the kind {kind}, which is not read; expected a container"
    ) as raised:
        read_audio(tmp_path / name)
    assert "Convert it, for example: ffmpeg -i " in str(raised.value) and "damaged" not in str(raised.value)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("stem", ["a", "it's here", "10.30.15\u202fAM", "it's\\\u202f$HOME", "caf\udce9", "\x1b[1mab"])
def test_the_command_that_converts_names_the_file_whatever_it_is_called(stem):
    said = media.say_how_to_convert(Path(f"{stem}.m4a"))
    words = said.removeprefix("convert it, for example: ffmpeg -i ")
    assert said == printable(said)
    done = subprocess.run(["bash", "-c", f"printf '%s\\n' {words}"], capture_output=True)
    assert done.stdout == b"".join(os.fsencode(f"{stem}.{suffix}\n") for suffix in ("m4a", "wav"))


def test_a_sound_under_the_name_of_another_is_read(tmp_path):
    """Some recorders name their WAV files as telephones do."""
    soundfile.write(tmp_path / "a.wav", make_voice(16_000), 16_000)
    (tmp_path / "a.wav").rename(tmp_path / "a.m4a")
    assert len(read_audio(tmp_path / "a.m4a")) == SECONDS * 16_000


def test_what_libsndfile_opens_is_left_to_it(tmp_path):
    for suffix in AUDIO_SUFFIXES:
        path = tmp_path / f"a{suffix}"
        options = {
            **{".opus": {"format": "OGG", "subtype": "OPUS"}, ".oga": {"format": "OGG"}, ".wave": {"format": "WAV"}},
            **{".aif": {"format": "AIFF"}, ".aifc": {"format": "AIFF", "subtype": "ALAW"}, ".mp2": {"format": "MP3"}},
            **{".sph": {"format": "NIST"}, ".nist": {"format": "NIST"}},
        }.get(suffix, {})
        soundfile.write(path, make_voice(16_000), 16_000, **options)
        assert len(read_audio(path)) >= SECONDS * 16_000
        head = path.read_bytes()[: media.HEAD_BYTES]
        assert media.find_container(path, head) == media.find_unread_container(head) == ""

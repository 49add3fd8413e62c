"""What `experiments.check` says of how recordings were made: each kind of difference is found, and a clean corpus has none."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import soundfile

from began.audio import hash_sound
from began.command_line import run_script
from experiments import check
from experiments.corpora.recording_quality import Meter, Meters

RATE = 16_000


def make_noise(seed: int, level_db: float = -20.0, bandwidth_hz: float = 8_000, seconds: float = 1.5, rate: int = RATE):
    """Returns noise of a level, with nothing above a frequency."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * rate)))
    spectrum[np.fft.rfftfreq(round(seconds * rate), 1 / rate) > bandwidth_hz] = 0
    waveform = np.fft.irfft(spectrum, round(seconds * rate))
    return 10 ** (level_db / 20) * waveform / waveform.std()


def measure(path) -> dict[str, float]:
    meter = Meter()
    hash_sound(path, meter.add)
    return meter.read()


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_measures_are_right(tmp_path, rate, n_channels, monkeypatch):
    waveform = make_noise(0, -23, 3_000, 2.3, rate) + 0.03
    waveform[:: len(waveform) // 20] = 1 - 2**-23
    soundfile.write(tmp_path / "a.wav", np.stack([waveform] * n_channels, axis=1), rate, subtype="PCM_24")
    found = measure(tmp_path / "a.wav")
    assert found["level"] == pytest.approx(10 * np.log10(waveform.var()), abs=0.01)
    assert found["offset"] == pytest.approx(100 * waveform.mean(), abs=0.01)
    assert found["clipped"] == pytest.approx(100 * (waveform >= 0.999).mean())
    assert found["rate"] == rate
    monkeypatch.setattr("began.audio.BLOCK_SECONDS", 0.5)
    in_blocks = measure(tmp_path / "a.wav")
    for name in ("level", "offset", "clipped", "rate"):  # frames of the spectrum end with a block
        assert in_blocks[name] == pytest.approx(found[name])


@pytest.mark.parametrize("bandwidth_hz", [1_000, 3_400, 7_000])
def test_bandwidth(tmp_path, bandwidth_hz):
    soundfile.write(tmp_path / "a.wav", make_noise(1, bandwidth_hz=bandwidth_hz), RATE, subtype="FLOAT")
    assert 2 ** measure(tmp_path / "a.wav")["bandwidth"] == pytest.approx(bandwidth_hz, abs=100)


def test_silence_and_short_recordings():
    meter = Meter()
    meter.add(RATE, np.zeros((100, 1), np.float32))
    assert meter.read() is None
    meter.add(RATE, make_noise(0)[:100, None].astype(np.float32))
    assert np.isfinite(list(meter.read().values())).all()


@pytest.fixture
def corpus(tmp_path):
    """Writes four speakers' ten recordings each, changed as told, and returns the manifest."""

    def write(change):
        rows = []
        for speaker in "abcd":
            for number in range(10):
                name = f"{speaker}{number}.wav"
                waveform, rate = change(speaker, number, make_noise(ord(speaker) * 100 + number, -22 + number % 3))
                soundfile.write(tmp_path / name, waveform, rate)
                rows.append({"file": name, "label": "xy"[number % 2], "speaker": speaker})
        pd.DataFrame(rows).to_csv(tmp_path / "my.csv", index=False)
        return tmp_path / "my.csv"

    return write


def run_check(capsys, *words):
    code = run_script(check.main, check.make_parser(), [str(word) for word in words])
    return code, capsys.readouterr().out


def nothing(speaker, number, waveform):
    return waveform, RATE


def only_speaker(name, alter):
    return lambda speaker, number, waveform: (alter(waveform) if speaker == name else waveform, RATE)


def only_one(alter, rate=RATE):
    return lambda speaker, number, waveform: (alter(waveform), rate) if (speaker, number) == ("b", 3) else (waveform, RATE)


def test_a_silent_channel_hides_no_bandwidth(tmp_path):
    waveform = make_noise(1, bandwidth_hz=3_400)
    soundfile.write(tmp_path / "a.wav", np.stack([0 * waveform, waveform], axis=1), RATE, subtype="FLOAT")
    assert 2 ** measure(tmp_path / "a.wav")["bandwidth"] == pytest.approx(3_400, abs=100)


def test_two_speakers_are_compared_with_each_other():
    meters, rows = Meters(), []
    for speaker, level_db, rate in (("a", -20, RATE), ("b", -33, 2 * RATE)):
        meters.start(speaker)(rate, make_noise(0, level_db)[:, None].astype(np.float32))
        rows.append({"path": speaker, "utterance": speaker, "speaker": speaker})
    lines, remarks = meters.describe(pd.DataFrame(rows))
    assert len(lines) == 2
    assert remarks[0].startswith("speaker a: level -20 dB, of the others -33 dB, bandwidth 8.0 kHz, of the others 16.0 kHz")
    assert remarks[1].endswith("32000 Hz, most of the others 16000 Hz")
    _, remarks = meters.describe(pd.DataFrame(rows[:1]))
    assert remarks == []


def test_recordings_of_unknown_speakers_are_no_speaker():
    meters, rows = Meters(), []
    for name, speaker, level_db in (("1", "a", -20), ("2", "b", -20), ("3", "unknown", -40)):
        meters.start(name)(RATE, make_noise(0, level_db)[:, None].astype(np.float32))
        rows.append({"path": name, "utterance": name, "speaker": speaker})
    lines, remarks = meters.describe(pd.DataFrame(rows))
    assert [line.split(":")[0].strip() for line in lines] == ["a", "b", "speakers unknown"] and remarks == []
    lines, remarks = meters.describe(pd.DataFrame(rows[2:]))
    assert [line.split(":")[0].strip() for line in lines] == ["unknown"] and remarks == []


DIFFERENCES = {
    "nothing": (nothing, None),
    "a soft speaker": (only_speaker("d", lambda x: x / 10), r"- speaker d: level -41 dB, of the others -21 dB"),
    "an offset": (only_speaker("c", lambda x: x + 0.04), r"- speaker c: offset 4\.0 % of full scale"),
    "a narrow speaker": (
        lambda speaker, number, waveform: (make_noise(number, bandwidth_hz=3_400) if speaker == "a" else waveform, RATE),
        r"- speaker a: bandwidth 3\.5 kHz, of the others 8\.0 kHz",
    ),
    "a soft recording": (only_one(lambda x: x / 10), r"- 1 recording of another level than .* 10 dB or more\): b3\.wav"),
    "a clipped one": (only_one(lambda x: np.clip(20 * x, -1, 1)), r"- 1 recording clipped \(0\.1 % .*: b3\.wav"),
    "a narrow one": (only_one(lambda x: make_noise(7, bandwidth_hz=3_400)), r"- 1 recording of another bandwidth .*: b3\.wav"),
    "another rate": (only_one(lambda x: np.repeat(x, 3), 48_000), r"- 1 recording of another sample rate .*: b3\.wav"),
    "a soft label": (
        lambda speaker, number, waveform: (waveform / 10 ** (0.7 * (number % 2)), RATE),
        r"- label y: level -35 dB, of the others -21 dB",
    ),
    "a narrow label": (
        lambda speaker, number, x: (make_noise(ord(speaker) * 100 + number, bandwidth_hz=3_400) if number % 2 else x, RATE),
        r"- label y: bandwidth 3\.5 kHz, of the others 8\.0 kHz",
    ),
    "many clipped ones": (
        lambda speaker, number, waveform: (np.clip(50 * waveform, -1, 1), RATE),
        r"- 40 recordings clipped .*: a0\.wav, a1\.wav, a2\.wav and 37 more",
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_check_names_what_differs(corpus, capsys, name):
    change, line = DIFFERENCES[name]
    code, said = run_check(capsys, "manifest", corpus(change))
    assert code == 0  # it is no fault of the corpus
    assert len(re.findall(r"^  [abcd]: level", said, re.MULTILINE)) == 4
    remarks = [words for words in said.splitlines() if words.startswith("- ")]
    if line is None:
        assert not remarks
    else:
        assert any(re.fullmatch(line, words) for words in remarks), remarks


def test_check_reads_nothing_of_it_when_quick(corpus, capsys):
    code, said = run_check(capsys, "manifest", corpus(nothing), "--quick")
    assert code == 0 and "sound, by speaker" not in said


def test_many_speakers_are_summarized_where_they_differ():
    meters, rows = Meters(), []
    for number in range(40):
        waveform = make_noise(number, -50 if number >= 20 and number % 2 else -20, seconds=0.2)
        meters.start(f"{number}.wav")(RATE, waveform[:, None].astype(np.float32))
        rows.append({"path": f"{number}.wav", "utterance": f"u{number}", "speaker": f"s{number:02d}"})
    lines, remarks = meters.describe(pd.DataFrame(rows))
    assert len(lines) == 10 and lines[0].startswith("  s21: level -50 dB")
    assert [remark.split(":")[0] for remark in remarks] == [f"speaker s{number}" for number in range(21, 40, 2)]


def test_real_corpora(shared_data, capsys):
    """EmoDB is clean; SAVEE's speakers have an offset each, one is ten times softer, and many recordings are clipped."""
    code, said = run_check(capsys, "emodb", shared_data / "EmoDB")
    assert code == 0 and "\n- " not in said
    for words in ("found 535 utterances; 10 speakers\n", "anger 127", "the counts are the published ones"):
        assert words in said
    if not (shared_data / "SAVEE").is_dir():
        pytest.skip("no SAVEE")
    code, said = run_check(capsys, "savee", shared_data / "SAVEE")
    assert code == 0
    assert "- speaker KL: level -40 dB" in said and "- speaker DC: offset 4.0 %" in said and "recordings clipped" in said

"""The synthesised corpora: the same every time, in the real layouts, with voices and emotions that differ as meant."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import synthetic_corpora

from began.files import sha256_of
from experiments.corpora import emodb, load, omg, savee, synthetic

WRITERS = {
    "librispeech": lambda folder, seed=0: synthetic.write_librispeech(folder, 2, 2, seconds=0.3, seed=seed),
    "emodb": lambda folder, seed=0: synthetic.write_emodb(folder, 1, 1, seconds=0.3, seed=seed),
    "savee": lambda folder, seed=0: synthetic_corpora.write_savee(folder, n_per_emotion=1, seconds=0.2, seed=seed),
    "omg": lambda folder, seed=0: synthetic_corpora.write_omg(folder, (1, 1, 1), 2, seconds=0.2, seed=seed),
}


def hash_folder(folder):
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_the_seed_fixes_every_byte(name, tmp_path):
    first = hash_folder(WRITERS[name](tmp_path / "first"))
    assert first == hash_folder(WRITERS[name](tmp_path / "second"))
    other = hash_folder(WRITERS[name](tmp_path / "other", seed=1))
    assert first.keys() == other.keys()
    sound = [path for path in first if path.endswith((".wav", ".flac"))]
    assert all(first[path] != other[path] for path in sound)
    assert len({first[path] for path in sound}) == len(sound)


def test_corpora_load_with_the_real_loaders(tmp_path):
    corpus = load("librispeech", synthetic.write_librispeech(tmp_path / "LibriSpeech", 3, 4, seconds=0.3))
    assert len(corpus.utterances) == 12
    assert set(corpus.utterances["sex"]) == {"F", "M"}
    corpus = load("emodb", synthetic.write_emodb(tmp_path / "EmoDB", 2, 2, seconds=0.3))
    assert corpus.utterances["label"].value_counts().to_dict() == dict.fromkeys(emodb.LABELS, 4)
    assert set(corpus.utterances["speaker"]) == {"03", "08"}
    corpus = load("savee", synthetic_corpora.write_savee(tmp_path / "SAVEE", n_per_emotion=1, speakers=["KL"], seconds=0.2))
    assert soundfile.info(corpus.utterances["path"][0]).samplerate == 44100
    assert len(corpus.utterances) == 8
    corpus = load("omg", synthetic_corpora.write_omg(tmp_path / "OMG", (4, 4, 2), 3, seconds=0.2))
    videos = corpus.utterances.groupby("split")["video"].agg(set)
    assert len(videos["validation"] & videos["train"]) == 2  # as in the real one, half of the validation links
    assert corpus.utterances["arousal"].between(0, 1).all()
    assert corpus.utterances["valence"].between(-1, 1).all()
    header = (tmp_path / "OMG" / omg.FILES["train"]).read_text().splitlines()[0]
    assert header == "link,start,end,video,utterance,arousal,valence,EmotionMaxVote"
    with pytest.raises(ValueError, match="layout is 'square'"):
        synthetic_corpora.write_savee(tmp_path, "square")
    with pytest.raises(ValueError, match="layout is 'square'"):
        synthetic_corpora.write_omg(tmp_path, layout="square")


def test_savee_at_full_size_is_the_published_list(tmp_path):
    # Silence stands in for speech here: the names are what counts.
    silence = np.zeros(10, np.float32)
    original, synthetic.synthesize_utterance = synthetic.synthesize_utterance, lambda *_, **__: silence
    try:
        corpus = load("savee", synthetic_corpora.write_savee(tmp_path, "flat"))
    finally:
        synthetic.synthesize_utterance = original
    assert tuple(corpus.utterances["utterance"]) == savee.list_published()
    assert corpus.notes == ()


def measure(emotion, sex="M", speaker="03"):
    """Returns the median over sentences of length (s), level, pitch (Hz) and the part of energy above 2 kHz."""
    figures = []
    for text in ("a01", "a02", "a04", "b01", "b02"):
        waveform = synthetic.synthesize_utterance(speaker, sex, emotion, seconds=1.5, seed=0, text=text)
        assert waveform.dtype == np.float32
        assert np.abs(waveform).max() <= 1
        spectrum = np.abs(np.fft.rfft(waveform)) ** 2
        frequency = np.fft.rfftfreq(len(waveform), 1 / 16000)
        figures.append(
            [
                len(waveform) / 16000,
                np.sqrt(np.mean(waveform**2)),
                estimate_pitch(waveform),
                spectrum[frequency > 2000].sum() / spectrum.sum(),
            ]
        )
    return np.median(figures, axis=0)


def estimate_pitch(waveform):
    """Returns the median over voiced frames of the autocorrelation's highest peak between 60 and 500 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 640)[::320]
    frames = frames[np.sqrt(np.mean(frames**2, axis=1)) > 0.3 * np.sqrt(np.mean(waveform**2))]
    spectrum = np.fft.rfft(frames * np.hanning(640), 2048)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:, 32:267]
    return 16000 / (32 + np.median(correlation.argmax(axis=1)))


def test_emotions_differ_in_tempo_loudness_pitch_and_tilt():
    neutral, anger, sadness, fear = (measure(emotion) for emotion in ("neutral", "anger", "sadness", "fear"))
    length, level, pitch, tilt = range(4)
    assert sadness[length] > 1.3 * neutral[length]
    assert fear[length] < 0.85 * neutral[length]
    assert anger[level] > 1.8 * neutral[level] > 3 * sadness[level]
    assert fear[pitch] > 1.25 * neutral[pitch]
    assert anger[pitch] > neutral[pitch] > 0.95 * sadness[pitch]
    assert anger[tilt] > neutral[tilt] > sadness[tilt]


def test_voices_differ():
    woman = synthetic.synthesize_utterance("08", "F", "neutral", seconds=2, seed=0, text="a01")
    man = synthetic.synthesize_utterance("03", "M", "neutral", seconds=2, seed=0, text="a01")
    assert estimate_pitch(woman) > 1.2 * estimate_pitch(man)
    assert not np.array_equal(man, synthetic.synthesize_utterance("10", "M", "neutral", seconds=2, seed=0, text="a01"))

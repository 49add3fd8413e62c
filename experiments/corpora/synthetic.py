"""Speech-like corpora that the project synthesises itself, written in the real corpora's own layouts.

A source-filter model: a glottal pulse train (or noise) runs through formant resonators, syllable by syllable.
Speakers differ in pitch, vocal tract length and vowels; emotions in pitch mean and range, loudness, tempo and spectral
tilt. It is meant for demonstrations and tests: scores on it say that the programs work, and nothing about speech.
"""

import itertools
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from began.audio import SAMPLE_RATE
from began.files import StrPath
from experiments.corpora import emodb
from experiments.corpora.record import SYNTHETIC_MARKER


@dataclass(frozen=True)
class Emotion:
    """How an emotion sounds, relative to the speaker's neutral voice."""

    pitch: float  # factor on the speaker's mean pitch
    range_semitones: float  # standard deviation of the pitch accents
    loudness_db: float
    syllables_per_second: float
    tilt_hz: float  # corner of the low-pass on the source: a low one sounds dark and relaxed, a high one bright and tense
    breath: float  # part of noise in the voiced source, 0 to 1
    final_rise_semitones: float
    arousal: float
    valence: float


EMOTIONS = {
    "anger": Emotion(1.35, 3.5, 8, 5.4, 6000, 0.02, -2, 0.80, -0.60),
    "boredom": Emotion(0.92, 0.6, -4, 3.2, 800, 0.10, -1, 0.15, -0.30),
    "disgust": Emotion(0.95, 1.8, -1, 3.5, 1500, 0.15, -4, 0.45, -0.55),
    "fear": Emotion(1.65, 2.0, -2, 6.4, 2600, 0.30, 1, 0.70, -0.50),
    "happiness": Emotion(1.40, 4.5, 4, 5.2, 4000, 0.05, 2, 0.65, 0.70),
    "neutral": Emotion(1.00, 1.5, 0, 4.5, 1800, 0.05, -2, 0.40, 0.10),
    "sadness": Emotion(0.88, 0.8, -9, 2.7, 600, 0.25, -3, 0.20, -0.45),
    "surprise": Emotion(1.55, 4.0, 3, 4.4, 3200, 0.10, 9, 0.70, 0.35),
}

_VOWELS_HZ = np.array(
    [  # formants one to four of an adult man's a, e, i, o, u and schwa
        [730, 1090, 2440, 3400],
        [530, 1840, 2480, 3500],
        [270, 2290, 3010, 3700],
        [570, 840, 2410, 3300],
        [300, 870, 2240, 3300],
        [500, 1500, 2500, 3500],
    ],
    dtype=float,
)
_HIGHER_FORMANTS_HZ = (4500.0, 5500.0, 6500.0)  # the same in every vowel; without them voices stop at 4 kHz
_BANDWIDTHS_HZ = (80.0, 100.0, 140.0, 200.0, 250.0, 300.0, 350.0)


def synthesize_utterance(
    speaker: str, sex: str, emotion: str, *, seconds: float, seed: int, text: str = "", sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Returns a speech-like utterance; the same arguments give the same samples.

    Args:
        speaker, sex: any name, which with `seed` fixes the voice; "F" or "M".
        emotion: a key of `EMOTIONS`.
        seconds: length at a neutral tempo; slow emotions take longer for the same syllables.
        text: any name of a sentence; the same text has the same syllables in every voice.
        sample_rate: in Hz.
    Returns:
        float32, shape (n_samples,), in [-1, 1], with short pauses at both ends.
    """
    style = EMOTIONS[emotion]
    voice = np.random.default_rng(_entropy(seed, "voice", speaker))
    sentence = np.random.default_rng(_entropy(seed, "sentence", text or speaker))
    random = np.random.default_rng(_entropy(seed, "take", speaker, emotion, text))
    pitch_hz = (voice.uniform(165, 220) if sex == "F" else voice.uniform(90, 130)) * style.pitch
    vowels_hz = _VOWELS_HZ * (1.17 if sex == "F" else 1.0) * voice.uniform(0.94, 1.06)  # length of the vocal tract
    vowels_hz *= voice.uniform(0.95, 1.05, _VOWELS_HZ.shape)
    breath = np.clip(style.breath + voice.uniform(0, 0.06), 0, 1)

    n_syllables = max(1, round(seconds * EMOTIONS["neutral"].syllables_per_second * random.uniform(0.95, 1.05)))
    vowel = sentence.integers(0, len(_VOWELS_HZ), n_syllables)
    stressed = sentence.random(n_syllables) < 0.35
    noisy_onset = sentence.random(n_syllables) < 0.5
    duration = (0.75 + 0.5 * stressed + 0.3 * random.random(n_syllables)) / style.syllables_per_second
    lengths = np.maximum((duration * sample_rate).astype(int), 64)

    semitones = random.normal(0, style.range_semitones, n_syllables) + 0.6 * style.range_semitones * stressed
    semitones += np.linspace(1, -1, n_syllables)  # pitch falls over a sentence
    semitones[-1] += style.final_rise_semitones
    centres = np.cumsum(lengths) - lengths / 2
    n_samples = int(lengths.sum())
    contour = np.interp(np.arange(n_samples), centres, semitones)
    source = _make_source(pitch_hz * 2 ** (contour / 12), style.tilt_hz, breath, random, sample_rate)

    speech = np.zeros(n_samples)
    start = 0
    for index, length in enumerate(lengths):
        piece = _filter_formants(source[start : start + length], vowels_hz[vowel[index]], sample_rate)
        envelope = np.sin(np.pi * np.linspace(0.02, 0.98, length)) ** 0.6 * (1.4 if stressed[index] else 1.0)
        speech[start : start + length] = piece / (np.std(piece) + 1e-12) * envelope
        if noisy_onset[index]:
            onset = min(length // 4, int(0.08 * sample_rate))
            hiss = np.diff(random.standard_normal(onset + 1)) * np.hanning(onset)
            speech[start : start + onset] += 0.25 * np.sqrt(style.tilt_hz / 2000) * hiss
        start += length

    level = 0.05 * 10 ** (style.loudness_db / 20) * random.uniform(0.9, 1.1)
    speech *= level / (np.sqrt(np.mean(speech**2)) + 1e-12)
    pause = np.zeros(int(random.uniform(0.03, 0.12) * sample_rate))
    speech = np.concatenate([pause, speech, pause])
    speech += 1e-4 * random.standard_normal(len(speech))  # a quiet room
    return np.clip(speech, -0.99, 0.99).astype(np.float32)


def _entropy(seed: int, *words: str) -> list[int]:
    return [seed, *(zlib.crc32(word.encode()) for word in words)]


def _make_source(
    pitch_hz: np.ndarray, tilt_hz: float, breath: float, random: np.random.Generator, sample_rate: int
) -> np.ndarray:
    """Returns the glottal source: one pulse per period, jittered, with breath, low-passed to the emotion's tilt."""
    from scipy.signal import lfilter

    knots = np.arange(0, len(pitch_hz) + 160, 160)
    jitter = np.interp(np.arange(len(pitch_hz)), knots, random.normal(1, 0.01, len(knots)))
    phase = np.cumsum(pitch_hz * jitter) / sample_rate % 1.0
    # The flow rises over 60 % of a period, falls over 20 % and rests; the ear hears its derivative.
    rise, fall = 0.5 - 0.5 * np.cos(np.pi * phase / 0.6), np.cos(np.pi / 2 * (phase - 0.6) / 0.2)
    flow = np.select([phase < 0.6, phase < 0.8], [rise, fall])
    pulses = np.diff(flow, prepend=0.0)
    pulses /= np.std(pulses) + 1e-12
    source = (1 - breath) * pulses + breath * random.standard_normal(len(pulses))
    pole = np.exp(-2 * np.pi * tilt_hz / sample_rate)
    return lfilter([1 - pole], [1, -pole], source)


def _filter_formants(source: np.ndarray, formants_hz: np.ndarray, sample_rate: int) -> np.ndarray:
    """Returns the source after a cascade of two-pole resonators with unit gain at 0 Hz."""
    from scipy.signal import lfilter

    for frequency_hz, bandwidth_hz in zip((*formants_hz, *_HIGHER_FORMANTS_HZ), _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / sample_rate)
        poles = [1, -2 * radius * np.cos(2 * np.pi * frequency_hz / sample_rate), radius**2]
        source = lfilter([sum(poles)], poles, source)
    return source


def write_utterances(
    folder: Path, utterances: Iterable[Sequence[str]], seconds: float, seed: int, sample_rate: int = SAMPLE_RATE
) -> list[float]:
    """Synthesises and writes utterances, marks the folder as made here, and returns each one's length in seconds.

    Args:
        utterances: path within the folder, speaker, sex, emotion and text of each.
    """
    import soundfile

    lengths = []
    for path, *voice, text in utterances:
        waveform = synthesize_utterance(*voice, text=text, seconds=seconds, seed=seed, sample_rate=sample_rate)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / path, waveform, sample_rate, subtype="PCM_16")
        lengths.append(len(waveform) / sample_rate)
    # No result from this folder can be taken for a real one.
    (folder / SYNTHETIC_MARKER).write_text("Synthetic speech, made by experiments.corpora.synthetic.\n", encoding="utf-8")
    return lengths


def write_librispeech(
    folder: StrPath,
    n_speakers: int = 8,
    n_utterances: int = 10,
    seconds: float = 6.0,
    seed: int = 0,
    subset: str = "train-clean-100",
) -> Path:
    """Writes a corpus in LibriSpeech's layout, FLAC and SPEAKERS.TXT, and returns its folder.

    The emotions take turns, so that a representation learnt from it has met every manner of speaking.

    Args:
        n_utterances: per speaker, in two chapters.
        seconds: mean length of an utterance.
    """
    folder, manners = Path(folder), sorted(EMOTIONS)
    lines, utterances = [";ID  |SEX| SUBSET           |MINUTES| NAME"], []
    for index in range(n_speakers):
        speaker, sex, minutes = str(19 + 7 * index), "FM"[index % 2], n_utterances * seconds / 60
        lines.append(f"{speaker:<4} | {sex} | {subset:<16} | {minutes:.2f}  | Synthetic voice {index}")
        for number in range(n_utterances):
            chapter = 1000 + 10 * index + number * 2 // n_utterances
            name = f"{speaker}-{chapter}-{number:04d}"
            path = f"{subset}/{speaker}/{chapter}/{name}.flac"
            utterances.append((path, speaker, sex, manners[(index + number) % len(manners)], name))
    write_utterances(folder, utterances, seconds, seed)
    (folder / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_emodb(
    folder: StrPath,
    speakers: int = 10,
    n_texts: int = 3,
    emotions: Iterable[str] = emodb.LABELS,
    seconds: float = 1.8,
    seed: int = 0,
) -> Path:
    """Writes a corpus in EmoDB's layout, `wav/03a01Fa.wav` and so on, and returns its folder.

    Args:
        speakers: how many of EmoDB's ten speakers.
        n_texts: sentences per speaker and emotion, 1 to 10.
        emotions: a selection of EmoDB's seven.
        seconds: length of a neutral utterance.
    """
    folder = Path(folder)
    codes = {label: code for code, label in emodb.EMOTION_OF_CODE.items()}
    utterances = [
        (f"wav/{speaker}{text}{codes[label]}a.wav", speaker, emodb.SEX_OF_SPEAKER[speaker], label, text)
        for speaker, text, label in itertools.product([*emodb.SEX_OF_SPEAKER][:speakers], emodb.TEXTS[:n_texts], emotions)
    ]
    write_utterances(folder, utterances, seconds, seed)
    return folder

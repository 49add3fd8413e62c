"""The synthetic corpora in the layouts of SAVEE and OMG-Emotion, which only tests need."""

from __future__ import annotations

import csv
import itertools
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.corpora import omg, savee
from experiments.corpora.synthetic import EMOTIONS, write_utterances


def write_savee(
    folder: str | os.PathLike[str],
    layout: str = "nested",
    sample_rate: int = 44_100,
    n_per_emotion: int = 15,
    speakers: Sequence[str] = savee.SPEAKERS,
    seconds: float = 2.0,
    seed: int = 0,
) -> Path:
    """Writes a corpus in SAVEE's layout and returns its folder.

    Args:
        layout: "nested", `AudioData/DC/a01.wav` as published; "flat", `DC_a01.wav` as it circulates.
        n_per_emotion: utterances per speaker and emotion; neutral has twice as many, as in SAVEE.
        seconds: length of a neutral utterance.
    """
    folder, pattern = Path(folder), _choose_layout(layout, {"nested": "AudioData/{}/{}.wav", "flat": "{}_{}.wav"})
    utterances = [
        (pattern.format(speaker, f"{code}{number:02d}"), speaker, "M", label, f"{code}{number:02d}")
        for speaker, (code, label) in itertools.product(speakers, savee.EMOTION_OF_CODE.items())
        for number in range(1, n_per_emotion * (2 if label == "neutral" else 1) + 1)
    ]
    write_utterances(folder, utterances, seconds, seed, sample_rate)
    return folder


def _choose_layout(layout: str, patterns: Mapping[str, str]) -> str:
    if layout not in patterns:
        raise ValueError(f"layout is {layout!r}; expected one of {', '.join(patterns)}")
    return patterns[layout]


def write_omg(
    folder: str | os.PathLike[str],
    n_videos: Sequence[int] = (8, 4, 4),
    n_utterances: int = 6,
    layout: str = "nested",
    seconds: float = 2.0,
    seed: int = 0,
) -> Path:
    """Writes a corpus in OMG-Emotion's layout, the three official CSV files and the cut audio, and returns its folder.

    As in the real one, half of the validation videos have a link that also occurs in the training part, and the test
    file has no labels.

    Args:
        n_videos: how many in the training, validation and test part.
        n_utterances: per video.
        layout: "nested", `VIDEO/utterance_1.wav`; "mp4", `VIDEO/utterance_1.mp4.wav`; "flat", `VIDEO-utterance_1.wav`;
            "deep", `VIDEO/audio/utterance_1.mp4/audio.wav`.
        seconds: length of a neutral utterance.
    """
    patterns = {
        "nested": "{}/utterance_{}.wav",
        "mp4": "{}/utterance_{}.mp4.wav",
        "flat": "{}-utterance_{}.wav",
        "deep": "{}/audio/utterance_{}.mp4/audio.wav",
    }
    folder, pattern = Path(folder), _choose_layout(layout, patterns)
    random, labels = np.random.default_rng([seed, 7]), omg.LABELS
    for split, count in zip(omg.FILES, n_videos, strict=True):
        rows = []
        for video in range(count):
            shared = split == "validation" and video % 2 == 0
            link = f"{'train' if shared else split[:5].ljust(5, '_')}{video:06d}"
            clip = f"{zlib.crc32(f'{split}{video}'.encode()):09x}"
            numbers = range(1, n_utterances + 1)
            codes = [(video + number) % len(labels) for number in numbers]
            utterances = [
                (pattern.format(clip, number), link, "FM"[video % 2], labels[code], f"{clip}{number}")
                for number, code in zip(numbers, codes, strict=True)
            ]
            start = 0.0
            for number, code, length in zip(numbers, codes, write_utterances(folder, utterances, seconds, seed), strict=True):
                style, end = EMOTIONS[labels[code]], start + length
                arousal = float(np.clip(style.arousal + random.normal(0, 0.05), 0, 1))
                valence = float(np.clip(style.valence + random.normal(0, 0.05), -1, 1))
                source = f"https://www.youtube.com/watch?v={link}"
                rows.append([source, start, end, clip, f"utterance_{number}.mp4", arousal, valence, code])
                start = end + 0.3
        n_columns = 5 if split == "test" else len(omg.COLUMNS)
        with open(folder / omg.FILES[split], "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(row[:n_columns] for row in [omg.COLUMNS, *rows])
    return folder

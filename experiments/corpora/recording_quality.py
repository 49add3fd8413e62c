"""How recordings were made: level, offset, clipping, bandwidth and sample rate, and which of a corpus differ from the others.

A classifier learns such differences in place of emotions, and fails on recordings that were made otherwise. Speakers are
compared with each other by fixed limits, and each recording with its own speaker's others by median and median absolute
deviation, which a few odd recordings do not move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from began.audio import SILENCE
from began.errors import counted, printable, shorten
from experiments.corpora.record import UNKNOWN_SPEAKER

if TYPE_CHECKING:
    import pandas as pd

FULL_SCALE = 0.999
"""Amplitude from which on a sample counts as clipped."""

CLIPPED_PERCENT = 0.1
"""Share of clipped samples from which on a recording is named."""

LEVEL_DB, OFFSET_PERCENT, BANDWIDTH_OCTAVES = 10.0, 1.0, 0.5
"""Differences that are named, at least: of level, of constant offset (% of full scale), and of bandwidth."""

ROBUST_DEVIATIONS = 5.0
"""How many standard deviations, estimated by the median absolute deviation, an odd recording lies from its speaker's median."""

FRAME_SECONDS, FLOOR_DB, LOWEST_HZ = 0.064, 60.0, 60.0
"""Bandwidth ends where the mean spectrum falls 60 dB below its highest value, which is sought above hum and offset."""

MAX_SPEAKERS, MAX_NAMED = 12, 3
"""How many speakers and recordings are named, at most, in one place."""


class Meter:
    """Measures one recording, block by block."""

    def __init__(self) -> None:
        self.rate_hz = self.n_values = self.n_clipped = 0
        self._sum = self._sum_of_squares = 0.0
        self._power = np.zeros(1)

    def add(self, rate_hz: int, block: np.ndarray) -> None:
        """Takes the next samples, float32, shape (n_samples, n_channels), at the recording's own rate."""
        self.rate_hz, self.n_values = rate_hz, self.n_values + block.size
        self.n_clipped += int((np.abs(block) >= FULL_SCALE).sum())
        self._sum += float(block.sum(dtype=np.float64))
        self._sum_of_squares += float(np.square(block, dtype=np.float64).sum())
        size = 2 ** round(np.log2(FRAME_SECONDS * rate_hz))
        window = np.hanning(size)
        for channel in block.T:  # any one may be silent
            channel = channel if len(channel) >= size else np.pad(channel, (0, size - len(channel)))
            frames = channel[: len(channel) // size * size].reshape(-1, size) * window
            self._power = self._power + np.square(np.abs(np.fft.rfft(frames))).sum(axis=0)

    def read(self) -> dict[str, float] | None:
        """Returns what was measured, or None of silence.

        Returns:
            `level` (dB of full scale, without the offset), `offset` and `clipped` (%), `bandwidth` (octaves above 1 Hz), `rate`
            (Hz).
        """
        mean = self._sum / max(self.n_values, 1)
        variance = self._sum_of_squares / max(self.n_values, 1) - mean**2
        if variance < SILENCE**2:
            return None
        frequencies = np.linspace(0, self.rate_hz / 2, len(self._power))
        power = np.where(frequencies < LOWEST_HZ, 0, self._power)
        highest = frequencies[np.flatnonzero(power >= power.max() * 10 ** (-FLOOR_DB / 10))[-1]]
        return {
            "level": 10 * np.log10(variance),
            "offset": 100 * mean,
            "clipped": 100 * self.n_clipped / self.n_values,
            "bandwidth": np.log2(highest),
            "rate": self.rate_hz,
        }


class Meters:
    """The meters of a corpus' recordings."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}

    def start(self, path: str) -> Callable[[int, np.ndarray], None]:
        """Returns what takes the blocks of a recording (`began.audio.hash_sound`)."""
        self._meters[path] = Meter()
        return self._meters[path].add

    def describe(self, utterances: pd.DataFrame) -> tuple[list[str], list[str]]:
        """Returns a line for each speaker (of many, for those that differ), and a line for each thing to look at.

        Args:
            utterances: the corpus' table, with `path`, `speaker`, `utterance` and, if known, `label`; recordings without a
                meter are left out.
        """
        import pandas as pd

        read = {path: meter.read() for path, meter in self._meters.items()}
        measured = pd.DataFrame({path: values for path, values in read.items() if values}).T
        if measured.empty:
            return [], []
        names = utterances.columns.intersection(["speaker", "utterance", "label"])
        table = utterances.set_index("path")[names].join(measured, how="inner")
        is_known = table["speaker"] != UNKNOWN_SPEAKER
        is_mixed = is_known.any() and not is_known.all()  # where nobody is known, all are one group
        speakers, odd = _compare_groups(table[is_known] if is_mixed else table, "speaker")
        shown = list(speakers.index) if len(speakers) <= MAX_SPEAKERS else [name for name in speakers.index if odd[name]]
        lines = [_summarize(name, table[table["speaker"] == name]) for name in shown[:MAX_SPEAKERS]]
        if is_mixed:
            lines.append(_summarize("speakers unknown", table[~is_known]))
        differing = [f"speaker {printable(name)}: {', '.join(what)}" for name, what in odd.items() if what]
        more = [counted(len(differing) - MAX_SPEAKERS, "more speaker")] if len(differing) > MAX_SPEAKERS else []
        # A constant offset is the microphone's, and the speakers' lines name it.
        of_labels = _compare_groups(table.assign(offset=0.0), "label")[1] if "label" in table else {}
        labels = [f"label {printable(name)}: {', '.join(what)}" for name, what in of_labels.items() if what]
        return lines, [*differing[:MAX_SPEAKERS], *more, *labels, *_find_odd_recordings(table)]


def _compare_groups(table: pd.DataFrame, column: str) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Returns the medians of each value of a column, and in what each differs from the others."""
    # A lower median is the value of a recording, also where two kinds of them are equally frequent.
    medians = table.groupby(column)[["level", "offset", "bandwidth", "rate"]].quantile(0.5, interpolation="lower")
    return medians, {str(name): _compare(values, medians.drop(name)) for name, values in medians.iterrows()}


def _compare(values: Mapping[str, float], others: pd.DataFrame) -> list[str]:
    """Returns in what the medians of a speaker or label differ from those of the others, of which there may be none."""
    middle, found = others.median(), []  # of nobody NaN, from which nothing differs
    if abs(values["level"] - middle["level"]) >= LEVEL_DB:
        found.append(f"level {values['level']:.0f} dB, of the others {middle['level']:.0f} dB")
    if abs(values["offset"]) >= OFFSET_PERCENT:
        found.append(f"offset {values['offset']:.1f} % of full scale")
    if abs(values["bandwidth"] - middle["bandwidth"]) >= BANDWIDTH_OCTAVES:
        found.append(f"bandwidth {_khz(values['bandwidth'])}, of the others {_khz(middle['bandwidth'])}")
    if len(others) and values["rate"] != (usual := others["rate"].mode()[0]):
        found.append(f"{values['rate']:.0f} Hz, most of the others {usual:.0f} Hz")
    return found


def _find_odd_recordings(table: pd.DataFrame) -> list[str]:
    """Returns a line for each kind of recordings that differ from their speaker's others."""
    by_speaker = table.groupby("speaker")
    found = {f"clipped ({CLIPPED_PERCENT:g} % of the samples or more)": table["clipped"] >= CLIPPED_PERCENT}
    limits = {
        "level": (LEVEL_DB, "dB"),
        "offset": (OFFSET_PERCENT, "% of full scale"),
        "bandwidth": (BANDWIDTH_OCTAVES, "octaves"),
    }
    for name, (least, unit) in limits.items():
        distance = table[name] - by_speaker[name].transform("median")
        spread = 1.4826 * distance.abs().groupby(table["speaker"]).transform(
            "median"
        )  # of a normal distribution: one deviation
        what = f"of another {name} than their speaker's others (by {least:g} {unit} or more)"
        found[what] = distance.abs() >= np.maximum(least, ROBUST_DEVIATIONS * spread)
    usual = by_speaker["rate"].transform(lambda rates: rates.mode()[0])
    found["of another sample rate than their speaker's others"] = table["rate"] != usual
    named = {what: [printable(name) for name in table["utterance"][odd]] for what, odd in found.items() if odd.any()}
    return [f"{counted(len(names), 'recording')} {what}: {shorten(names, MAX_NAMED)}" for what, names in named.items()]


def _summarize(speaker: str, table: pd.DataFrame) -> str:
    level, n_clipped = table["level"], (table["clipped"] >= CLIPPED_PERCENT).sum()
    rates = ", ".join(f"{rate / 1000:g} kHz" for rate in sorted(table["rate"].unique()))
    bandwidth, offset = table["bandwidth"].quantile(0.5, interpolation="lower"), round(table["offset"].median(), 1)
    return (
        f"  {printable(speaker)}: level {level.median():.0f} dB ({level.min():.0f} to {level.max():.0f}), "
        f"offset {offset + 0.0:.1f} %, bandwidth {_khz(bandwidth)} of {rates}, "  # in place of -0.0
        f"{n_clipped} of {len(table)} clipped"
    )


def _khz(octaves: float) -> str:
    return f"{2**octaves / 1000:.1f} kHz"

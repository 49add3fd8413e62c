"""One picture a sound file: waveform, spectrogram, and what the predictor says second by second."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from began.audio import SAMPLE_RATE, stream_audio, stream_chunks
from began.files import write_atomically
from began.spectrogram import SpectrogramConfig, compute_spectrograms
from classifiers.predictor import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from classifiers.predictor import Prediction, Predictor

WAVE, INK, GREY = "#3B6E8F", "#222222", "#6E6E6E"
AROUSAL, VALENCE = "#D55E00", "#0072B2"  # told apart with every common colour blindness

STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#AAAAAA",
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}

MAX_COLUMNS = 1_600
"""Columns of waveform and spectrogram: more than a screen shows, so that an hour takes no more memory than a minute."""

MAX_CELLS = 240
"""Steps of the emotion over time; chunks of longer files are averaged."""

N_NUMBERED = 14
"""Chunks up to which the probabilities are written into their cells."""

FLOOR_DB, CEILING_DB = -110.0, -30.0
"""Range of the spectrogram's colours: what of speech can be seen, relative to a full-scale sine."""


def plot_prediction(prediction: Prediction, predictor: Predictor, path: str | os.PathLike[str]) -> None:
    """Draws a prediction and saves it as a PNG file; reads the sound again, at constant memory.

    Args:
        prediction: of a file that can be read.
        predictor: that made it.
        path: ends in .png.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 7.6))
        grid = figure.add_gridspec(3, 2, height_ratios=(0.8, 1.7, 1.9), width_ratios=(4.4, 1), hspace=0.04, wspace=0.02)
        waveform = figure.add_subplot(grid[0, 0])
        spectrogram = figure.add_subplot(grid[1, 0], sharex=waveform)
        timeline = figure.add_subplot(grid[2, 0], sharex=waveform)
        whole = figure.add_subplot(grid[2, 1])
        figure.suptitle(_title(prediction, predictor), x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)

        _draw_waveform(waveform, prediction)
        image = _draw_spectrogram(spectrogram, prediction, predictor.spectrogram)
        space = figure.add_subplot(grid[1, 1])
        space.axis("off")
        bar = figure.colorbar(image, cax=space.inset_axes((0, 0, 0.07, 1)))
        bar.set_label("level (dB, full scale = 0)")
        bar.outline.set_visible(False)
        if predictor.task == "categorical":
            _draw_classes(timeline, whole, prediction, predictor.columns)
        else:
            _draw_dimensions(timeline, whole, prediction)
        for axes in (waveform, spectrogram):
            axes.tick_params(labelbottom=False, length=0)
        waveform.set_xlim(0, prediction.seconds)
        _label_time(timeline, prediction.seconds)
        with write_atomically(path) as temporary:
            figure.savefig(temporary)


def _label_time(axes: Axes, seconds: float) -> None:
    if seconds < 120:
        axes.set_xlabel("time (s)")
        return
    step = next(
        (step for step in (15, 30, 60, 120, 300, 600, 1200, 1800, 3600) if seconds / step <= 10),
        3600 * math.ceil(seconds / 36_000),
    )
    axes.set_xticks(np.arange(0, seconds + 1e-6, step))
    unit, names = (60, "minutes:seconds") if seconds < 7200 else (3600, "hours:minutes")
    axes.set_xlabel(f"time ({names})")
    axes.xaxis.set_major_formatter(lambda time, _: f"{int(time) // unit}:{int(time) % unit * 60 // unit:02d}")


def _title(prediction: Prediction, predictor: Predictor) -> str:
    name = shown(prediction.path.name)
    name = _escape(name if len(name) <= 60 else f"{name[:40]}…{name[-19:]}")
    if predictor.task == "categorical":
        return f"{name}: {_escape(predictor.label_of(prediction.scores))} ({100 * prediction.scores.max():.0f} %)"
    arousal, valence = prediction.scores
    return f"{name}: arousal {arousal:.2f}, valence {valence:+.2f}".replace(" -", " \N{MINUS SIGN}")


def _draw_waveform(axes: Axes, prediction: Prediction) -> None:
    n_columns = min(MAX_COLUMNS, max(1, int(prediction.seconds * SAMPLE_RATE)))
    low, high = measure_envelope(prediction.path, prediction.seconds, n_columns)
    times = (np.arange(n_columns) + 0.5) * prediction.seconds / n_columns
    axes.fill_between(times, low, high, color=WAVE, linewidth=0.4, edgecolor=WAVE)
    limit = max(1e-3, float(np.abs([low, high]).max())) * 1.08
    axes.set(ylim=(-limit, limit), ylabel="amplitude", title="Waveform")
    axes.set_yticks([0.0])
    axes.spines["bottom"].set_visible(False)


def measure_envelope(path: Path, seconds: float, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest sample of each column: float32, each of shape (n_columns,)."""
    low, high = np.full(n_columns, np.inf, np.float32), np.full(n_columns, -np.inf, np.float32)
    n_read = 0
    for block in stream_audio(path):
        column = np.minimum(
            ((n_read + np.arange(len(block))) * (n_columns / (seconds * SAMPLE_RATE))).astype(np.int64), n_columns - 1
        )
        present, starts = np.unique(column, return_index=True)
        low[present] = np.minimum(low[present], np.minimum.reduceat(block, starts))
        high[present] = np.maximum(high[present], np.maximum.reduceat(block, starts))
        n_read += len(block)
    return np.where(np.isfinite(low), low, 0), np.where(np.isfinite(high), high, 0)


def _draw_spectrogram(axes: Axes, prediction: Prediction, config: SpectrogramConfig):
    decibels = measure_spectrogram(prediction.path, prediction.seconds, config)
    image = axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=FLOOR_DB,
        vmax=CEILING_DB,
        extent=(0, prediction.seconds, 0, SAMPLE_RATE / 2000),
        interpolation="bilinear",
    )
    axes.set(ylabel="frequency (kHz)", title="Spectrogram, as the encoder sees it")
    axes.set_yticks(range(0, SAMPLE_RATE // 2000 + 1, 2))
    axes.spines[:].set_visible(False)
    return image


def measure_spectrogram(path: Path, seconds: float, config: SpectrogramConfig) -> np.ndarray:
    """Returns the mean spectrogram of each column in decibels below a full-scale sine: float32, (n_bins, n_columns)."""
    frames_per_second = SAMPLE_RATE / config.hop_length
    n_columns = int(min(MAX_COLUMNS, max(1, np.ceil(seconds * frames_per_second))))
    total = np.zeros((config.n_bins, n_columns), np.float32)
    count = np.zeros(n_columns, np.int64)
    second = 0
    for chunks in stream_chunks(path, tail="pad"):
        spectrograms = compute_spectrograms(chunks, config)  # (n_chunks, n_bins, n_frames)
        times = second + np.arange(len(chunks))[:, None] + np.arange(config.n_frames) / frames_per_second
        column = np.minimum((times.ravel() / seconds * n_columns).astype(np.int64), n_columns - 1)
        inside = times.ravel() < seconds
        frames = spectrograms.transpose(0, 2, 1).reshape(-1, config.n_bins)[inside]
        present, starts, counts = np.unique(column[inside], return_index=True, return_counts=True)
        total[:, present] += np.add.reduceat(frames, starts).T
        count[present] += counts
        second += len(chunks)
    mean = total / np.maximum(count, 1)
    filled = np.maximum.accumulate(np.where(count > 0, np.arange(n_columns), 0))  # columns between two frames
    mean = mean[:, filled]
    if config.magnitude == "log":
        return (mean + 1) / 2 * (config.db_max - config.db_min) + config.db_min
    return 20 * np.log10(np.maximum(mean, 1e-9) / (config.n_fft / 4))


def _steps(prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the steps in seconds, (n_steps + 1,), and their mean scores, (n_steps, d).

    A last chunk that overlaps the one before is shown where it adds something.
    """
    edges = np.append(np.arange(len(prediction.chunk_scores), dtype=float), prediction.seconds)
    n_steps = min(MAX_CELLS, len(prediction.chunk_scores))
    first = np.linspace(0, len(prediction.chunk_scores), n_steps + 1).astype(np.int64)
    counts = np.diff(first)[:, None]
    return edges[first], np.add.reduceat(prediction.chunk_scores, first[:-1], axis=0) / counts


def _draw_classes(axes: Axes, whole: Axes, prediction: Prediction, labels: tuple[str, ...]) -> None:
    """A row a class, a column a second, darker where it is more probable; beside it the whole file as bars."""
    edges, scores = _steps(prediction)
    # Most probable on top: the picture is read from there.
    order = np.argsort(prediction.scores, kind="stable")
    rows = np.arange(len(labels) + 1) - 0.5
    axes.pcolormesh(
        edges,
        rows,
        scores[:, order].T,
        cmap="Blues",
        vmin=0,
        vmax=1,
        edgecolors="white",
        linewidth=1.5 if len(scores) <= 60 else 0,
    )
    if len(scores) <= N_NUMBERED:
        for column, row in np.ndindex(len(scores), len(labels)):
            score = scores[column, order[row]]
            axes.text(
                (edges[column] + edges[column + 1]) / 2,
                row,
                f"{100 * score:.0f}",
                ha="center",
                va="center",
                color="white" if score > 0.55 else INK if score >= 0.1 else "#9A9A9A",
                fontsize=9,
                fontweight="bold" if score == scores[column].max() else "normal",
            )
    else:
        winner = np.argsort(order)[scores.argmax(axis=1)]
        axes.scatter(
            (edges[:-1] + edges[1:]) / 2,
            winner,
            s=9 if len(scores) <= 120 else 4,
            color="#F2A900",
            linewidths=0,
            label="most probable",
        )
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=9, borderaxespad=0, handletextpad=0.1)
    axes.set_yticks(range(len(labels)), [_escape(labels[index]) for index in order])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    seconds = len(prediction.chunk_scores) / len(scores)
    each = "each second" if seconds == 1 else f"mean of {seconds:.3g} s"
    how = "probability in %" if len(scores) <= N_NUMBERED else "darker is more probable"
    axes.set_title(f"Emotion over time: {how}, {each}")

    percent = 100 * prediction.scores[order]
    whole.barh(range(len(labels)), percent, height=0.72, color=["#B9CFDF"] * (len(labels) - 1) + ["#08519C"])
    for row, value in enumerate(percent):
        whole.text(
            value + 2,
            row,
            f"{value:.0f} %",
            va="center",
            color=INK,
            fontsize=9,
            fontweight="bold" if row == len(labels) - 1 else "normal",
        )
    whole.set(ylim=(-0.5, len(labels) - 0.5), xlim=(0, max(100.0, percent.max() + 20)), title="Whole file")
    axes.set_ylim(-0.5, len(labels) - 0.5)
    whole.set_xticks([])
    whole.set_yticks([])
    whole.spines[:].set_visible(False)


def _draw_dimensions(axes: Axes, whole: Axes, prediction: Prediction) -> None:
    """Arousal and valence as steps; beside them the whole file as a point in the plane of the two."""
    edges, scores = _steps(prediction)
    axes.axhline(0, color="#BBBBBB", linewidth=1)
    for column, (name, colour) in enumerate((("arousal, 0 to 1", AROUSAL), ("valence, −1 to 1", VALENCE))):
        axes.stairs(scores[:, column], edges, baseline=None, color=colour, linewidth=2.2, label=name)
    axes.set(ylim=(-1.05, 1.05), title="Arousal and valence over time", yticks=(-1, -0.5, 0, 0.5, 1))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=9, borderaxespad=0)
    arousal, valence = prediction.scores
    whole.axhline(0.5, color="#BBBBBB", linewidth=1)
    whole.axvline(0, color="#BBBBBB", linewidth=1)
    whole.scatter([valence], [arousal], s=70, color=INK, zorder=3)
    whole.set(xlim=(-1, 1), ylim=(0, 1), xlabel="valence", ylabel="arousal", title="Whole file")
    whole.set_xticks([-1, 0, 1])
    whole.set_yticks([0, 0.5, 1])
    whole.set_box_aspect(1)
    whole.set_anchor("N")


def _escape(text: str) -> str:
    """Text in which a dollar sign starts no formula."""
    return text.replace("$", r"\$")

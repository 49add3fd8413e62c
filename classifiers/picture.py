"""One picture per sound file: waveform, spectrogram, and the predicted emotions, one per window."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from began import spectrogram
from began.audio import SAMPLE_RATE, stream_audio
from began.errors import printable
from began.files import StrPath, write_atomically
from began.front_end import LOUD_LEVEL_DB, locate_speech
from began.media_fragments import split_channel
from began.spectrogram import SpectrogramConfig, stream_spectrogram, to_decibels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from classifiers.prediction import Prediction
    from classifiers.predictor import Predictor

WAVE, INK, GREY, LINE = "#3B6E8F", "#222222", "#9A9A9A", "#BBBBBB"
AROUSAL, VALENCE = "#D55E00", "#0072B2"  # told apart with every common colour blindness

STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a dollar sign in a name starts no formula
    "savefig.dpi": 160,
}

PAUSE = "#E6E6E6"
"""Behind the emotion over time: seen where there is no speech."""

MAX_COLUMNS = 1_600
"""Columns of waveform and spectrogram: more than a screen shows, so that an hour takes no more memory than a minute."""

MAX_CELLS = 240
"""Steps of the emotion over time; chunks of longer files are averaged."""

SHORTEST_SHOWN = 0.02
"""Seconds of silence around the speech that a reader of a picture may look for."""

N_NUMBERED = 14
"""Chunks up to which the probabilities are written into their cells."""

COLOUR_RANGE_DB = (-110.0, -30.0)
"""Range of the spectrogram's colours: what of speech can be seen, relative to a full-scale sine."""


def plot_prediction(prediction: Prediction, predictor: Predictor, path: StrPath) -> None:
    """Draws the prediction that a predictor made, and saves it as a PNG file; reads the sound again, at constant memory."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 7.6))
        grid = figure.add_gridspec(3, 2, height_ratios=(0.8, 1.7, 1.9), width_ratios=(4.4, 1), hspace=0.04, wspace=0.02)
        waveform = figure.add_subplot(grid[0, 0])
        frequencies = figure.add_subplot(grid[1, 0], sharex=waveform)
        timeline = figure.add_subplot(grid[2, 0], sharex=waveform)
        whole = figure.add_subplot(grid[2, 1], title="Whole file")
        figure.suptitle(_title(prediction, predictor), x=0.012, ha="left", fontsize=13, fontweight="bold", color=INK)

        _draw_waveform(waveform, prediction)
        image = _draw_spectrogram(frequencies, prediction, predictor.spectrogram)
        space = figure.add_subplot(grid[1, 1])
        space.axis("off")
        bar = figure.colorbar(image, cax=space.inset_axes((0, 0, 0.07, 1)))
        bar.set_label("level (dB, full scale = 0)")
        bar.outline.set_visible(False)
        if predictor.is_categorical:
            _draw_classes(timeline, whole, prediction, predictor.columns)
        else:
            _draw_dimensions(timeline, whole, prediction)
        for axes in (waveform, frequencies):
            axes.tick_params(labelbottom=False, length=0)
        waveform.set_xlim(0, prediction.seconds)
        _label_time(timeline, prediction.seconds)
        with write_atomically(path) as temporary:
            save_figure(figure, temporary)


def save_figure(figure: Figure, to: StrPath | BinaryIO, **options: Any) -> None:
    """Saves a figure of any kind; the options are those of Matplotlib."""
    with warnings.catch_warnings():
        # Names in letters that the font lacks have boxes in their place, which whoever looks at the picture sees.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        figure.savefig(to, **options)


def _label_time(axes: Axes, seconds: float) -> None:
    if seconds < 120:
        axes.set_xlabel("time (s)")
        return
    steps = (15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 3600 * math.ceil(seconds / 36_000))
    axes.set_xticks(np.arange(0, seconds + 1e-6, next(step for step in steps if seconds / step <= 10)))
    unit, names = (60, "minutes:seconds") if seconds < 7200 else (3600, "hours:minutes")
    axes.set_xlabel(f"time ({names})")
    axes.xaxis.set_major_formatter(lambda time, _: f"{int(time) // unit}:{int(time) % unit * 60 // unit:02d}")


def _title(prediction: Prediction, predictor: Predictor) -> str:
    file, channel = split_channel(prediction.path)
    name = printable(f"{file.name}, {channel}" if channel else file.name)
    name = name if len(name) <= 60 else f"{name[:40]}…{name[-19:]}"
    if predictor.is_categorical:
        return f"{name}: {predictor.label_of(prediction.scores)} ({100 * prediction.scores.max():.0f} %)"
    arousal, valence = prediction.scores
    return f"{name}: " + f"arousal {arousal:.2f}, valence {valence:+.2f}".replace("-", "\N{MINUS SIGN}")


def _draw_waveform(axes: Axes, prediction: Prediction) -> None:
    n_columns = min(MAX_COLUMNS, max(1, int(prediction.seconds * SAMPLE_RATE)))
    low, high = measure_envelope(prediction.path, prediction.seconds, n_columns)
    times = (np.arange(n_columns) + 0.5) * prediction.seconds / n_columns
    axes.fill_between(times, low, high, color=WAVE, linewidth=0.4)
    limit = max(1e-3, float(np.abs([low, high]).max())) * 1.08
    axes.set(ylim=(-limit, limit), yticks=[0.0], ylabel="amplitude", title="Waveform")
    axes.spines["bottom"].set_visible(False)


def measure_envelope(path: Path, seconds: float, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest sample of each column: float32, each of shape (n_columns,)."""
    low, high, n_read = np.full(n_columns, np.inf, np.float32), np.full(n_columns, -np.inf, np.float32), 0
    for block in stream_audio(path):
        times = (n_read + np.arange(len(block))) / SAMPLE_RATE
        present, starts = np.unique(_columns_at(times, seconds, n_columns), return_index=True)
        low[present] = np.minimum(low[present], np.minimum.reduceat(block, starts))
        high[present] = np.maximum(high[present], np.maximum.reduceat(block, starts))
        n_read += len(block)
    return np.where(np.isfinite(low), low, 0), np.where(np.isfinite(high), high, 0)


def _columns_at(times: np.ndarray, seconds: float, n_columns: int) -> np.ndarray:
    return np.minimum((times * (n_columns / seconds)).astype(np.int64), n_columns - 1)


def _draw_spectrogram(axes: Axes, prediction: Prediction, config: SpectrogramConfig):
    speech = None if config.front_end == "literal" else locate_speech(prediction.path, config.front_end)
    decibels = measure_spectrogram(prediction.path, prediction.seconds, config, speech.gain if speech else 1.0)
    lowest, highest = COLOUR_RANGE_DB if speech is None else (spectrogram.FLOOR_DB, LOUD_LEVEL_DB)
    extent, colours = (0, prediction.seconds, 0, SAMPLE_RATE / 2000), {"cmap": "magma", "vmin": lowest, "vmax": highest}
    image = axes.imshow(decibels, origin="lower", aspect="auto", extent=extent, interpolation="bilinear", **colours)
    if speech is not None:  # what is cut off is not heard
        for edges in ((0, speech.start / SAMPLE_RATE), (speech.end / SAMPLE_RATE, prediction.seconds)):
            axes.axvspan(*edges, color="white", alpha=0.75, linewidth=0)
    axes.set(
        ylabel="frequency (kHz)",
        title="Spectrogram, as the encoder sees it" + ("" if speech is None else "; pale: cut off"),
        yticks=range(0, SAMPLE_RATE // 2000 + 1, 2),
    )
    axes.spines[:].set_visible(False)
    return image


def measure_spectrogram(path: Path, seconds: float, config: SpectrogramConfig, gain: float = 1.0) -> np.ndarray:
    """Returns the mean spectrogram of each column in decibels below a full-scale sine: float32, (n_bins, n_columns).

    Args:
        path, seconds: of the sound file, and its length.
        config: spectrogram settings.
        gain: of the samples, see `began.front_end.Speech`.
    """
    frames_per_second = SAMPLE_RATE / config.hop_length
    n_columns = int(min(MAX_COLUMNS, max(1, np.ceil(seconds * frames_per_second))))
    total, count = np.zeros((config.n_bins, n_columns), np.float32), np.zeros(n_columns, np.int64)
    n_read = 0
    for piece in stream_spectrogram((np.float32(gain) * block for block in stream_audio(path)), config):
        times = (n_read + np.arange(piece.shape[1])) / frames_per_second
        inside = times < seconds
        columns = _columns_at(times[inside], seconds, n_columns)
        present, starts, counts = np.unique(columns, return_index=True, return_counts=True)
        total[:, present] += np.add.reduceat(piece[:, inside], starts, axis=1)
        count[present] += counts
        n_read += piece.shape[1]
    filled = np.maximum.accumulate(np.where(count > 0, np.arange(n_columns), 0))  # columns between two frames
    return to_decibels((total / np.maximum(count, 1))[:, filled], config)


def _steps(prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """Returns the edges of the steps in seconds, (n_steps + 1,), and their mean scores, (n_steps, d), NaN without speech."""
    n_chunks = len(prediction.chunk_scores)
    first = np.linspace(0, n_chunks, min(MAX_CELLS, n_chunks) + 1).astype(np.int64)
    # A last chunk that overlaps the one before is shown where it adds something.
    edges = prediction.edges_seconds[first]
    has_speech = prediction.has_speech[:, None]
    sums, counts = (
        np.add.reduceat(part, first[:-1], axis=0) for part in (prediction.chunk_scores * has_speech, 1.0 * has_speech)
    )
    return edges, sums / np.where(counts, counts, np.nan)


def _draw_classes(axes: Axes, whole: Axes, prediction: Prediction, labels: tuple[str, ...]) -> None:
    """Draws one row per class and one column per window, darker where it is more probable; beside it the file as bars."""
    edges, scores = _steps(prediction)
    centres, has_speech = (edges[:-1] + edges[1:]) / 2, np.isfinite(scores[:, 0])
    order = np.argsort(-prediction.scores, kind="stable")[::-1]  # most probable on top: the picture is read from there
    rows = np.arange(len(labels) + 1) - 0.5
    line = 1.5 if len(scores) <= 60 else 0
    axes.set_facecolor(PAUSE)
    axes.pcolormesh(edges, rows, scores[:, order].T, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=line)
    if len(scores) <= N_NUMBERED:
        for column in np.flatnonzero(has_speech & (np.diff(edges) > 0.04 * edges[-1])):  # a number needs some room
            for row, score in enumerate(scores[column, order]):
                colour = "white" if score > 0.55 else INK if score >= 0.1 else GREY
                weight = "bold" if score == scores[column].max() else "normal"
                axes.text(centres[column], row, f"{100 * score:.0f}", ha="center", va="center", color=colour, fontweight=weight)
    else:
        winner, size = np.argsort(order)[scores[has_speech].argmax(axis=1)], 9 if len(scores) <= 120 else 4
        axes.scatter(centres[has_speech], winner, s=size, color="#F2A900", linewidths=0, label="most probable")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, handletextpad=0.1)
    axes.set_yticks(range(len(labels)), [labels[index] for index in order])
    axes.tick_params(axis="y", length=0)
    n_averaged = len(prediction.chunk_scores) / len(scores)
    each = "each second" if prediction.chunk_seconds == 1 else f"windows of {prediction.chunk_seconds:g} s"
    each = "the whole file" if len(prediction.chunk_scores) == 1 else each
    each += f", mean of {n_averaged * prediction.hop_seconds:.3g} s" if n_averaged > 1 else ""
    is_covered = edges[0] < SHORTEST_SHOWN and prediction.seconds - edges[-1] < SHORTEST_SHOWN
    each += "" if is_covered and has_speech.all() else "; grey: no answer"
    how = "probability in %" if len(scores) <= N_NUMBERED else "darker is more probable"
    axes.set(title=f"Emotion over time: {how}, {each}", ylim=(rows[0], rows[-1]))

    percent = 100 * prediction.scores[order]
    bars = whole.barh(range(len(labels)), percent, height=0.72, color=["#B9CFDF"] * (len(labels) - 1) + ["#08519C"])
    whole.bar_label(bars, [f"{value:.0f} %" for value in percent], padding=3, color=INK)[-1].set_fontweight("bold")
    whole.set(ylim=(rows[0], rows[-1]), xlim=(0, max(100.0, percent.max() + 20)), xticks=[], yticks=[])
    for some in (axes, whole):
        some.spines[:].set_visible(False)


def _draw_dimensions(axes: Axes, whole: Axes, prediction: Prediction) -> None:
    """Draws arousal and valence as steps; beside them the file as a point in the plane of the two."""
    edges, scores = _steps(prediction)
    axes.axhline(0, color=LINE, linewidth=1)
    for column, (name, colour) in enumerate((("arousal, 0 to 1", AROUSAL), ("valence, −1 to 1", VALENCE))):
        axes.stairs(scores[:, column], edges, baseline=None, color=colour, linewidth=2.2, label=name)
    title = "Arousal and valence over time" + ("" if np.isfinite(scores).all() else "; gaps: no speech")
    axes.set(ylim=(-1.05, 1.05), title=title, yticks=(-1, -0.5, 0, 0.5, 1))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0)
    arousal, valence = prediction.scores
    whole.axhline(0.5, color=LINE, linewidth=1)
    whole.axvline(0, color=LINE, linewidth=1)
    whole.scatter([valence], [arousal], s=70, color=INK, zorder=3)
    whole.set(xlim=(-1, 1), ylim=(0, 1), xlabel="valence", ylabel="arousal", xticks=[-1, 0, 1], yticks=[0, 0.5, 1])
    whole.set(box_aspect=1, anchor="N")

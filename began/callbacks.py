"""Keras callbacks of a pre-training: learning rate, progress, history, warnings, pictures, logs, checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from began.checkpoint import name_variables, write_checkpoint
from began.errors import InputError
from began.files import write_text
from began.pretraining_settings import Schedule

N_PICTURED = 8
"""Chunks of each kind that are looked at after a round."""

N_STUCK_ROUNDS = 5
STUCK_AFTER_STEPS = 1_000
COLLAPSED_DIVERSITY = 0.02
COLLAPSE_AFTER_STEPS = 2_000

Pictured = dict[str, np.ndarray]
Draw = Callable[[Pictured, pd.DataFrame], Any]


class ResumablePlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras' ReduceLROnPlateau on M_global, whose `state` survives a restart; `remembered` is that of an earlier part.

    Source: Berthelot et al. 2017, section 4.1: the learning rate is halved when the convergence measure stalls.
    """

    def __init__(self, patience: int, min_lr: float, remembered: dict[str, float] | None = None) -> None:
        super().__init__(
            monitor="convergence_measure", mode="min", factor=0.5, min_delta=1e-4, patience=patience, min_lr=min_lr
        )
        self._remembered = remembered or {}

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        self.__dict__.update(self._remembered)

    @property
    def state(self) -> dict[str, float]:
        """What a checkpoint keeps, as plain types."""
        return {name: getattr(self, name) for name in ("best", "wait", "cooldown_counter")}


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends a training whose losses or weights are infinite or not a number, before anything of the round is written."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for name in ("reconstruction_loss", "generator_loss"):
            if not math.isfinite(logs[name]):
                self._stop(f"a {name} that is not finite at step {int(_to_number(self.model.optimizer.iterations))}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # A step with finite losses can make weights or moments that are not.
        variables = name_variables(self.model).values()
        if not all(np.isfinite(keras.ops.convert_to_numpy(variable)).all() for variable in variables):
            self._stop("weights that are not finite")

    def _stop(self, found: str) -> None:
        action = f"lower the learning rate; the last good checkpoint is kept in {self.folder}"
        raise InputError.about("training", found, "finite losses and weights", action)


class RoundReport(keras.callbacks.Callback):
    """While a round runs, a progress bar; after it a row in history.csv, a checkpoint, a line, warnings and pictures.

    Args:
        plateau: whose state goes into the checkpoint.
        sounds_sha256: of the training data, goes into the checkpoint.
        rows: of the history so far; grows by one row per round: the losses' means over the round, and k, learning rate
            and diversity at its end.
        examples: float32, shape (N_PICTURED, n_bins, n_frames, 1), the real chunks that are pictured.
        draw: each takes the pictured chunks and the history so far.
        report: takes a line.
    """

    def __init__(
        self,
        folder: Path,
        schedule: Schedule,
        plateau: ResumablePlateau,
        sounds_sha256: str,
        rows: list[dict[str, float]],
        examples: np.ndarray,
        draw: Sequence[Draw],
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.folder, self.schedule, self.plateau, self.sounds_sha256, self.rows = folder, schedule, plateau, sounds_sha256, rows
        self.examples, self.draw, self.report = examples, draw, report

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        from tqdm import tqdm

        self._started = time.perf_counter()
        name = f"epoch {(epoch + 1) / self.schedule.rounds_per_epoch:.2f}"
        # disable=None: nothing where the output is a file or a pipe, which a bar would fill with fragments.
        total = self.schedule.chunks_per_round
        self._bar = tqdm(total=total, desc=name, unit="chunk", leave=False, disable=None, mininterval=0.5)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(_show({**logs, "k": _to_number(self.model.k)}), refresh=False)
        self._bar.update(self.schedule.batch_size * self.model.steps_per_execution)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._bar.close()
        n_done, seconds = epoch + 1, time.perf_counter() - self._started
        pictured = self._picture()
        row = {
            "epoch": n_done / self.schedule.rounds_per_epoch,
            "step": n_done * self.schedule.steps_per_round,
            "reconstruction_loss": float(logs["reconstruction_loss"]),
            "generator_loss": float(logs["generator_loss"]),
            "k": _to_number(self.model.k),
            "convergence_measure": float(logs["convergence_measure"]),
            "learning_rate": _to_number(self.model.optimizer.learning_rate),
            "diversity": measure_diversity(pictured),
            "chunks_per_second": self.schedule.chunks_per_round / seconds,
        }
        self.rows.append(row)
        history = pd.DataFrame(self.rows)
        write_text(self.folder / "history.csv", history.to_csv(index=False))
        # A run that is killed before this line does the round again; what follows only shows it.
        state = {
            "round": n_done,
            "precision": self.model.precision,
            "plateau": self.plateau.state,
            "rows": self.rows,
            "sounds_sha256": self.sounds_sha256,
        }
        write_checkpoint(self.folder / "checkpoint.npz", self.model, state)
        self._report_round(row, (self.schedule.n_rounds - n_done) * seconds / 3600)
        for draw in self.draw:
            draw(pictured, history)

    def _picture(self) -> Pictured:
        pictured = {"real": self.examples, "reconstructed": self.model.discriminator(self.examples)}
        if self.model.generator is not None:
            # Always the same noise: from picture to picture one sees the same points of the latent space.
            latent = np.random.default_rng(0).uniform(-1.0, 1.0, (N_PICTURED, self.model.latent_size)).astype(np.float32)
            pictured["generated"] = self.model.generator(latent)
        single = {name: keras.ops.cast(chunks, "float32") for name, chunks in pictured.items()}
        return {name: keras.ops.convert_to_numpy(chunks)[..., 0] for name, chunks in single.items()}

    def _report_round(self, row: dict[str, float], hours_left: float) -> None:
        speed = f"{row['chunks_per_second']:.0f} chunks/s  {hours_left:.1f} h left"
        place = f"epoch {row['epoch']:.2f}  step {row['step']}"
        self.report(f"{place}  {_show(row)}  rate {row['learning_rate']:.1e}  {speed}")
        if self.model.generator is not None:
            for warning in find_trouble(self.rows):
                self.report(f"warning: {warning}")


def log_to_tensorboard(folder: Path) -> Draw:
    """Returns what writes each round's row and pictures for TensorBoard; ImportError where that or TensorFlow is missing.

    Keras' own callback knows neither the pictures nor k and diversity.
    """
    import tensorboard  # noqa: F401 - tf.summary needs it, and would say so in the middle of the training
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder))

    def draw(pictured: Pictured, history: pd.DataFrame) -> None:
        row = history.iloc[-1]
        low, high = float(pictured["real"].min()), float(pictured["real"].max())
        with writer.as_default(step=int(row["step"])):
            for name, value in row.drop("step").dropna().items():
                tf.summary.scalar(name, value)
            for name, chunks in pictured.items():
                # Low frequencies at the bottom, one grey scale for real and generated.
                grey = np.clip((chunks[:, ::-1] - low) / max(high - low, 1e-12), 0.0, 1.0)
                tf.summary.image(name, grey[..., np.newaxis].astype(np.float32), max_outputs=N_PICTURED)
        writer.flush()

    return draw


def _to_number(variable: Any) -> float:
    return float(keras.ops.convert_to_numpy(variable))


def _show(row: dict[str, float]) -> str:
    losses = f"L(x) {row['reconstruction_loss']:.4f}  L(G(z)) {row['generator_loss']:.4f}"
    return f"{losses}  k {row['k']:.3f}  M_global {row['convergence_measure']:.4f}"


def measure_diversity(pictured: Pictured) -> float:
    """Returns how much generated chunks differ from one another, as a fraction of how much the real ones do."""
    if "generated" not in pictured:
        return math.nan
    return float(pictured["generated"].std(axis=0).mean() / max(pictured["real"].std(axis=0).mean(), 1e-12))


def find_trouble(rows: list[dict[str, float]]) -> list[str]:
    """Returns a warning for every known failure of BEGAN that the history's `k`, `step` and `diversity` show."""
    step, diversity = rows[-1]["step"], rows[-1]["diversity"]
    recent = [row["k"] for row in rows[-N_STUCK_ROUNDS:]]
    stuck = len(recent) == N_STUCK_ROUNDS and step >= STUCK_AFTER_STEPS  # k starts at 0 and moves slowly
    cure = "A lower learning rate or a higher gamma may help."
    found = []
    if stuck and max(recent) <= 1e-6:
        found.append(f"k has been 0 for {N_STUCK_ROUNDS} rounds: the discriminator ignores the generator. {cure}")
    if stuck and min(recent) >= 1.0 - 1e-6:
        found.append(f"k has been 1 for {N_STUCK_ROUNDS} rounds: the generator is far ahead. {cure}")
    if step >= COLLAPSE_AFTER_STEPS and diversity < COLLAPSED_DIVERSITY:
        found.append(f"generated chunks are nearly identical (diversity {diversity:.3f}): mode collapse. {cure}")
    return found

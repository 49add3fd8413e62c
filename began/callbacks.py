"""What looks after a pre-training: learning rate, progress, history, warnings, pictures, logs, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from began.checkpoint import require_finite, write_checkpoint
from began.errors import InputError
from began.files import write_text
from began.model import BEGAN

N_PICTURED = 8
"""Chunks of each kind that are looked at after a round."""

N_STUCK_ROUNDS = 5
STUCK_AFTER_STEPS = 1_000
COLLAPSED_DIVERSITY = 0.02
COLLAPSE_AFTER_STEPS = 2_000

Pictured = dict[str, np.ndarray]
Draw = Callable[[Pictured, pd.DataFrame], None]


class ResumablePlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras' ReduceLROnPlateau on M_global, whose memory of the best value survives a restart.

    Source: Berthelot et al. 2017, section 4.1: the learning rate is halved when the convergence measure stalls.
    """

    REMEMBERED = ("best", "wait", "cooldown_counter")

    def __init__(self, patience: int, min_lr: float) -> None:
        super().__init__(
            monitor="convergence_measure", mode="min", factor=0.5, min_delta=1e-4, patience=patience, min_lr=min_lr
        )
        self._restored: dict[str, float] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        super().on_train_begin(logs)
        for name, value in self._restored.items():
            setattr(self, name, value)

    @property
    def state(self) -> dict[str, float | None]:
        """What a checkpoint keeps, as plain types."""
        return {name: getattr(self, name, None) for name in self.REMEMBERED}

    def restore(self, state: dict[str, float]) -> None:
        """Takes what `state` gave, to be used when training begins."""
        self._restored = dict(state)


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends a training whose losses are infinite or not a number, before anything of it is written.

    Args:
        folder: of the run, for the message.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        for name in ("reconstruction_loss", "generator_loss"):
            if not math.isfinite(float(logs[name])):
                step = int(_to_number(self.model.optimizer.iterations))
                raise InputError.about(
                    "training",
                    found=f"a {name} that is not finite ({float(logs[name])}) at step {step}",
                    expected="finite losses",
                    action=f"lower the learning rate or the input's scale; the last good checkpoint is kept in {self.folder}",
                )


class ProgressBar(keras.callbacks.Callback):
    """Shows the running round on a terminal: L(x), L(G(z)), k, M_global and chunks per second.

    Args:
        steps_per_round, rounds_per_epoch, batch_size: how the training is cut.
    """

    def __init__(self, steps_per_round: int, rounds_per_epoch: int, batch_size: int) -> None:
        super().__init__()
        self.steps_per_round, self.rounds_per_epoch, self.batch_size = steps_per_round, rounds_per_epoch, batch_size

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        from tqdm import tqdm

        # disable=None: nothing where the output is a file or a pipe, which a bar would fill with fragments.
        self._bar = tqdm(
            total=self.steps_per_round * self.batch_size,
            unit="chunk",
            leave=False,
            disable=None,
            desc=f"epoch {(epoch + 1) / self.rounds_per_epoch:.2f}",
            mininterval=0.5,
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(
                f"L(x) {logs['reconstruction_loss']:.4f}, L(G(z)) {logs['generator_loss']:.4f}, "
                f"k {_to_number(self.model.k):.3f}, M_global {logs['convergence_measure']:.4f}",
                refresh=False,
            )
        self._bar.update(self.batch_size)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._bar.close()


class RoundReport(keras.callbacks.Callback):
    """After every round: a row in history.csv, a checkpoint, a line of progress, warnings and pictures.

    Args:
        folder: of the run.
        batch_size: chunks in a step, over all replicas.
        steps_per_round, rounds_per_epoch, n_rounds: how the training is cut.
        plateau: whose state goes into the checkpoint.
        examples: float32, shape (N_PICTURED, n_bins, n_frames, 1), the real chunks that are pictured.
        draw: each takes the pictured chunks and the history so far.
        report: takes a line.
    """

    def __init__(
        self,
        folder: Path,
        *,
        batch_size: int,
        steps_per_round: int,
        rounds_per_epoch: int,
        n_rounds: int,
        plateau: ResumablePlateau,
        examples: np.ndarray,
        draw: Sequence[Draw],
        report: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.folder, self.batch_size = folder, batch_size
        self.steps_per_round, self.rounds_per_epoch, self.n_rounds = steps_per_round, rounds_per_epoch, n_rounds
        self.plateau, self.examples, self.draw, self.report = plateau, examples, draw, report
        self.rows: list[dict[str, float]] = []
        self._started = 0.0

    @property
    def history(self) -> pd.DataFrame:
        """One row a round: the losses' means over the round, and k, learning rate and diversity at its end."""
        return pd.DataFrame(self.rows)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        n_rounds_done = epoch + 1
        seconds = time.perf_counter() - self._started
        require_finite(self.model, self.folder)
        pictured = self._picture()
        self.rows.append(
            {
                "epoch": n_rounds_done / self.rounds_per_epoch,
                "step": n_rounds_done * self.steps_per_round,
                "reconstruction_loss": float(logs["reconstruction_loss"]),
                "generator_loss": float(logs["generator_loss"]),
                "k": _to_number(self.model.k),
                "convergence_measure": float(logs["convergence_measure"]),
                "learning_rate": _to_number(self.model.optimizer.learning_rate),
                "diversity": measure_diversity(pictured),
                "chunks_per_second": self.steps_per_round * self.batch_size / seconds,
            }
        )
        write_text(self.folder / "history.csv", self.history.to_csv(index=False))
        # A run that is killed before this line does the round again; what follows only shows it.
        write_checkpoint(
            self.folder / "checkpoint.npz",
            self.model,
            {"round": n_rounds_done, "plateau": self.plateau.state, "rows": self.rows},
        )
        self._report_round(n_rounds_done)
        for draw in self.draw:
            draw(pictured, self.history)

    def _picture(self) -> Pictured:
        model: BEGAN = self.model
        pictured = {"real": self.examples, "reconstructed": keras.ops.convert_to_numpy(model.discriminator(self.examples))}
        if model.generator is not None:
            # Always the same noise: from picture to picture one sees the same points of the latent space.
            latent = np.random.default_rng(0).uniform(-1.0, 1.0, (N_PICTURED, model.latent_size)).astype(np.float32)
            pictured["generated"] = keras.ops.convert_to_numpy(model.generate(latent))
        return {name: chunks[..., 0] for name, chunks in pictured.items()}

    def _report_round(self, n_rounds_done: int) -> None:
        row = self.rows[-1]
        left = (self.n_rounds - n_rounds_done) * self.steps_per_round * self.batch_size / row["chunks_per_second"]
        self.report(
            f"epoch {row['epoch']:.2f}  step {row['step']}  L(x) {row['reconstruction_loss']:.4f}  "
            f"L(G(z)) {row['generator_loss']:.4f}  k {row['k']:.3f}  M_global {row['convergence_measure']:.4f}  "
            f"rate {row['learning_rate']:.1e}  {row['chunks_per_second']:.0f} chunks/s  {left / 3600:.1f} h left"
        )
        if self.model.generator is not None:
            for warning in find_trouble(self.rows):
                self.report(f"warning: {warning}")


class TensorBoardLogs:
    """Writes each round's row and pictures for TensorBoard; called by `RoundReport` as its `draw`.

    Args:
        folder: of the logs.
    Raises:
        ImportError: TensorFlow or tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        import tensorboard  # noqa: F401 - tf.summary needs it, and would say so in the middle of the training
        import tensorflow as tf

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(folder))

    def __call__(self, pictured: Pictured, history: pd.DataFrame) -> None:
        row = history.iloc[-1].to_dict()
        step = int(row.pop("step"))
        with self._writer.as_default(step=step):
            for name, value in row.items():
                if math.isfinite(value):
                    self._summary.scalar(name, value)
            low, high = float(pictured["real"].min()), float(pictured["real"].max())
            for name, chunks in pictured.items():
                # Low frequencies at the bottom, one grey scale for real and generated.
                grey = np.clip((chunks[:, ::-1] - low) / max(high - low, 1e-12), 0.0, 1.0)
                self._summary.image(name, grey[..., np.newaxis].astype(np.float32), max_outputs=N_PICTURED)
        self._writer.flush()


def _to_number(variable: Any) -> float:
    return float(keras.ops.convert_to_numpy(variable))


def measure_diversity(pictured: Pictured) -> float:
    """Returns how much generated chunks differ from one another, as a fraction of how much the real ones do."""
    if "generated" not in pictured:
        return math.nan
    return float(pictured["generated"].std(axis=0).mean() / max(pictured["real"].std(axis=0).mean(), 1e-12))


def find_trouble(rows: list[dict[str, float]]) -> list[str]:
    """Returns a warning for every known failure of BEGAN that the history shows.

    Args:
        rows: of the history so far, the newest last, with the columns `k`, `step` and `diversity`.
    """
    found = []
    recent = [row["k"] for row in rows[-N_STUCK_ROUNDS:]]
    if len(recent) == N_STUCK_ROUNDS and rows[-1]["step"] >= STUCK_AFTER_STEPS:  # k starts at 0 and moves slowly
        if max(recent) <= 1e-6:
            found.append(
                f"k has been 0 for {N_STUCK_ROUNDS} rounds: the discriminator ignores the generator. "
                "The input's scale may be off, or gamma too low."
            )
        if min(recent) >= 1.0 - 1e-6:
            found.append(
                f"k has been 1 for {N_STUCK_ROUNDS} rounds: the generator is far ahead. "
                "A lower learning rate or a higher gamma may restore the balance."
            )
    if rows[-1]["step"] >= COLLAPSE_AFTER_STEPS and rows[-1]["diversity"] < COLLAPSED_DIVERSITY:
        found.append(
            "generated chunks are nearly identical "
            f"(diversity {rows[-1]['diversity']:.3f} of the real ones'): "
            "mode collapse. A lower learning rate or a higher gamma may help."
        )
    return found

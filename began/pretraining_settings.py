"""Settings of a pre-training: networks, losses, optimisation, and how it is cut into rounds. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

AUTO, FLOAT32, MIXED = "auto", "float32", "mixed_bfloat16"
PRECISIONS = (AUTO, FLOAT32, MIXED)


@dataclass(frozen=True)
class PretrainingSettings:
    """Everything that decides what is learned, apart from the data.

    Attributes:
        base_filters, latent_size: n and h of the networks. Assumption: the paper names neither.
        gamma, learning_rate, batch_size, epochs: paper, section 3.3.
        lambda_k: Berthelot et al. 2017, section 3.4.
        noise: "shared" or "separate", see `began.model`.
        adversarial: False trains the autoencoder alone (an ablation).
        patience_epochs: the learning rate is halved when M_global has not fallen for so many epochs (Berthelot et al.
            2017, section 4.1, halve it when the measure stalls; the number is an assumption).
        min_learning_rate: floor of the halving. Assumption.
        max_steps_per_round: a checkpoint is written at least so often.
        seed: of weights, noise and shuffling.
        precision: one of PRECISIONS, see `began.precision`; "auto" takes the checkpoint's, or what is faster here.
    """

    base_filters: int = 8
    latent_size: int = 64
    gamma: float = 0.7
    lambda_k: float = 0.001
    noise: str = "shared"
    adversarial: bool = True
    learning_rate: float = 5e-5
    batch_size: int = 16
    epochs: int = 100
    patience_epochs: int = 8
    min_learning_rate: float = 2e-6
    max_steps_per_round: int = 300
    seed: int = 0
    precision: str = FLOAT32

    def to_dict(self) -> dict[str, Any]:
        """Returns the settings; without `precision` where it is float32, as in files from before there was another."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("precision", FLOAT32)}


@dataclass(frozen=True)
class Schedule:
    """How a training is cut: rounds of equal length, one or several per epoch. A round is what Keras calls an epoch."""

    batch_size: int
    rounds_per_epoch: int
    steps_per_round: int
    n_rounds: int

    @classmethod
    def of(cls, steps_per_epoch: int, settings: PretrainingSettings) -> Schedule:
        """Returns the schedule of a training whose epochs have so many steps."""
        rounds_per_epoch = math.ceil(steps_per_epoch / settings.max_steps_per_round)
        steps_per_round = math.ceil(steps_per_epoch / rounds_per_epoch)
        return cls(settings.batch_size, rounds_per_epoch, steps_per_round, settings.epochs * rounds_per_epoch)

    @property
    def chunks_per_round(self) -> int:
        """Chunks that a round trains on, over all devices."""
        return self.steps_per_round * self.batch_size

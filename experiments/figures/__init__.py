"""Every picture of the project, in one style.

Each ``plot_*`` function takes plain data, returns a Matplotlib figure and, given a path, saves it.  `draw_pretraining` draws
how far a pre-training has come, `draw_architecture` the networks.
"""

from experiments.figures.architecture import draw_architecture, plot_architecture
from experiments.figures.comparison import plot_ablations, plot_label_efficiency
from experiments.figures.corpora import plot_chunking, plot_labels, plot_lengths
from experiments.figures.errors import plot_confidence, plot_groups, plot_levels, plot_recall, plot_speaker_emotions
from experiments.figures.predictions import plot_arousal_valence, plot_confusion, plot_speakers
from experiments.figures.representation import plot_map
from experiments.figures.search import (
    plot_search,
    plot_search_parameters,
    plot_validation_against_test,
)
from experiments.figures.training import draw_pretraining, plot_convergence, plot_spectrograms

__all__ = [
    "draw_architecture",
    "draw_pretraining",
    "plot_ablations",
    "plot_architecture",
    "plot_arousal_valence",
    "plot_chunking",
    "plot_confidence",
    "plot_confusion",
    "plot_convergence",
    "plot_groups",
    "plot_label_efficiency",
    "plot_labels",
    "plot_lengths",
    "plot_levels",
    "plot_map",
    "plot_recall",
    "plot_search",
    "plot_search_parameters",
    "plot_speaker_emotions",
    "plot_speakers",
    "plot_spectrograms",
    "plot_validation_against_test",
]

"""Every picture of results and notebooks, in one style; `classifiers.picture` draws that of `classifiers.predict`.

Each ``plot_*`` function takes plain data and returns a Matplotlib figure. Beside what it draws it takes ``path`` (a file
to save it in), ``title`` and ``note`` (small print below), see `experiments.figures.style.make_figure`.
"""

# ruff: noqa: F401
from experiments.figures.comparison import plot_ablations, plot_label_efficiency
from experiments.figures.convergence import draw_pretraining, plot_convergence, plot_map, plot_spectrograms
from experiments.figures.recognition import (
    plot_arousal_valence,
    plot_confusion,
    plot_groups,
    plot_recall,
    plot_reliability,
    plot_speaker_emotions,
    plot_speakers,
)
from experiments.figures.recordings import plot_chunking, plot_labels, plot_lengths
from experiments.figures.trials import plot_search, plot_search_parameters, plot_validation_against_test

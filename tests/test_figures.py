"""Pictures of plain data: the same data give the same file, nothing is cut off, awkward data are drawn, too."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from fabricated import classes, search
from matplotlib.text import Text

from experiments import figures
from experiments.reporting import notebook

COUNTS = pd.DataFrame([[3, 1], [1, 2]], index=["$a$", "b"], columns=["$a$", "b"])
ONE_SEARCH = {"fold": "03", "task": "categorical", "search": "1a2b"}
HISTORY = pd.DataFrame(
    {"step": [10], "convergence_measure": [0.3], "reconstruction_loss": [0.2], "k": [0.0], "learning_rate": [1e-4]}
)
RECALLS = pd.DataFrame(
    {
        "condition": ["began", "began", "other", "other"],
        "speaker": ["03", "08", "03", "08"],
        "target": ["anger", "fear", "fear", "anger"],
        "accuracy": [10.0, 20.0, 30.0, 100.0],
        "sd": [1.0, 2.0, math.nan, 3.0],
        "utterances": [1, 2, 3, 4],
    }
)


def trials():
    return pd.concat([search().assign(search="1a2b"), search(seed=3).assign(search="3c4d")])


def test_the_same_data_give_the_same_file(tmp_path):
    for name in ("first", "second"):
        figures.plot_confusion(COUNTS, title="title", path=tmp_path / f"{name}.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_the_correlation_of_several_runs_is_their_mean():
    """As in tables, and not that of all predictions together."""
    run = pd.DataFrame({f"{name}_target": [0.0, 1.0] for name in ("arousal", "valence")})
    first, second = run.assign(arousal_prediction=[0.0, 1.0]), run.assign(arousal_prediction=[0.5, 1.0])
    both = pd.concat([first.assign(run=1), second.assign(run=2)]).assign(valence_prediction=0.5)
    axes, _ = figures.plot_arousal_valence(both).axes
    assert axes.get_title() == "arousal: CCC 0.83"
    assert figures.plot_arousal_valence(both.drop(columns="run")).axes[0].get_title() == "arousal: CCC 0.86"


@pytest.mark.parametrize(
    "draw",
    [
        lambda **words: figures.plot_confusion(COUNTS, **words),
        lambda **words: figures.plot_arousal_valence(classes(dimensions=True), **words),
        lambda **words: figures.plot_speakers(pd.DataFrame({"03": [50.0, 60], "08": [70, 80]}), {"x": {"08": (1, 2)}}, **words),
        lambda **words: figures.plot_recall(RECALLS, **words),
        lambda **words: figures.plot_speaker_emotions(RECALLS, **words),
        lambda **words: figures.plot_groups(RECALLS, "target", **words),
        lambda **words: figures.plot_reliability(pd.DataFrame({"probability": [40], "accuracy": [50]}), **words),
        lambda **words: figures.plot_search(trials(), **words),
        lambda **words: figures.plot_search_parameters(trials(), **words),
        lambda **words: figures.plot_validation_against_test(
            pd.DataFrame({"fold": ["03", "08"], "validation": [60.0, 70], "test": [50, 75]}), **words
        ),
        lambda **words: figures.plot_convergence(HISTORY, **words),
        lambda **words: figures.plot_map(np.eye(12, 2), {"speaker": pd.Series(range(12))}, **words),
        lambda **words: figures.plot_labels(pd.DataFrame({"speaker": ["03", "08"], "label": ["anger", "fear"]}), **words),
        lambda **words: figures.plot_lengths({"EmoDB": pd.Series([1.0, 2.0]), "SAVEE": pd.Series([3.0])}, **words),
        lambda **words: figures.plot_chunking(np.zeros(20000), np.array([0, 4000]), **words),
        lambda **words: figures.plot_spectrograms({"real": np.random.default_rng(0).random((2, 64, 8))}, **words),
    ],
)
def test_nothing_is_cut_off(draw):
    """Whatever the length of title and note; and a dollar sign in a name starts no formula."""
    figure = draw(title="EmoDB, $own$ “statistics over the utterance, each speaker standardised”", note="a caveat; " * 30)
    figure.draw_without_rendering()
    assert not [text for text in figure.findobj(Text) if "$" in text.get_text() and text.get_parse_math()]
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()  # inches
    assert min(box.x0, box.y0) > -0.02 and box.x1 < width + 0.02 and box.y1 < height + 0.02, box


def test_spectrogram_grid_and_pictures_of_a_pre_training(tmp_path):
    rows = {"real": np.random.default_rng(0).random((3, 512, 32)), "generated": np.zeros((2, 512, 32))}
    figures.draw_pretraining(rows, HISTORY, tmp_path)
    drawn = sorted(tmp_path.rglob("*.png"))
    assert [path.relative_to(tmp_path).as_posix() for path in drawn] == [
        "convergence.png",
        "pictures/latest.png",
        "pictures/step_0000010.png",
    ]
    assert all(path.stat().st_size > 5000 for path in drawn)
    figures.draw_pretraining(rows, pd.concat([HISTORY] * 3).assign(step=30), tmp_path)
    assert sorted(tmp_path.rglob("*.png")) == drawn


@pytest.mark.filterwarnings("error")
def test_names_in_letters_that_the_font_lacks_are_boxes_without_warnings(tmp_path):
    names = ["喜び", "怒り"]
    counts = pd.DataFrame([[3, 1], [1, 2]], index=names, columns=names)
    figure = figures.plot_confusion(counts, path=tmp_path / "a.png", title="日本語")
    notebook.show_figure(figure, "confusions")
    assert (tmp_path / "a.png").stat().st_size > 5000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", [["x" * 230, "corpus/ben", "03"], [f"speaker {number}" for number in range(30)]])
def test_names_of_any_length_and_number_leave_room_for_the_bars(names):
    scores = pd.DataFrame([np.linspace(20, 90, len(names))], columns=names)
    figure = figures.plot_speakers(scores, lines={"chance, 4 classes": 25.0, "always “neutral”": 40.0})
    figure.draw_without_rendering()
    (axes,) = figure.axes
    inside, (width, height) = axes.get_window_extent(), figure.get_size_inches() * figure.dpi
    assert inside.width > 0.7 * width and inside.height > 0.4 * height and width < 12 * figure.dpi
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert len(boxes) == len(names) and min(box.y0 for box in boxes) > 0
    if len(names) == 30:  # upright, none runs into the next
        assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))


def test_the_best_so_far_of_two_searches():
    figure = figures.plot_search(
        pd.DataFrame({"trial": [0, 1, 2, 0, 1], "loss": [0.5, 0.6, 0.3, math.nan, 0.7], "fold": list("aaabb")}).assign(
            task="categorical", search="1a2b"
        )
    )
    median = next(line for line in figure.axes[0].lines if "median of 2" in line.get_label())
    assert median.get_ydata().tolist() == [0.5, pytest.approx(0.6), pytest.approx(0.5)]


def test_awkward_data():
    figures.plot_search(pd.DataFrame({"trial": [0], "loss": [math.nan], **ONE_SEARCH}))
    same = pd.DataFrame({"trial": [0, 1], "loss": [1.0, 2.0], "filters": [8, 8], **ONE_SEARCH})
    assert figures.plot_search_parameters(same) is None
    figures.plot_arousal_valence(classes(1, dimensions=True))
    figures.plot_confusion(pd.DataFrame([[0, 0], [1, 2]], index=["a", "b"], columns=["a", "b"]))
    figures.plot_speakers(pd.DataFrame({"only": [50.0]}))

"""Published numbers that ours are held against: the paper's three tables, what it compares with, and later work.

Accuracies, recalls and F-scores are fractions, as everywhere in this project; tables show them in the paper's units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PAPER = "Pereira et al. 2018 (the paper)"

_PEREIRA = "Pereira, Santos, Maciel, Barros: Semi-supervised Model for Emotion Recognition in Speech, ICANN 2018"
_ASHWIN = "Ashwin, Saran, Reddy: Video affective content analysis ... hybrid SVM-RBM classifier, UPCON 2016"
_BARROS = "Barros et al.: The OMG-Emotion Behavior Dataset, arXiv 1803.05434, 2018"
_CHALLENGE = "OMG-Emotion Challenge 2018, best result from audio"
_DEB_2018 = "Deb, Dandapat: Multiscale amplitude feature ... emotion classification, IEEE Trans. Cybernetics 2018"
_DEB_2017 = "Deb, Dandapat: Emotion classification using segmentation ..., IEEE Trans. Affective Computing 2017"
_AUDEERING_OMG = "Triantafyllopoulos et al.: audEERING's approach to the One-Minute-Gradual Emotion Challenge, 2018"
_AUDEERING_W2V2 = "audEERING's public notebook on its wav2vec 2.0 emotion model (github.com/audeering/w2v2-how-to)"
_BENCHMARK = "public benchmark of frozen self-supervised speech encoders; second-hand"


@dataclass(frozen=True)
class Score:
    """One published number.

    Attributes:
        experiment: the experiment of ours it belongs to.
        system: who reached it.
        column: the column of the paper's table: a speaker, ``F-score``, ``arousal CCC``, ``valence CCC``,
            ``accuracy``, or ``UAR``.
        value: fraction, or a concordance correlation coefficient.
        sd: standard deviation over the paper's ten executions, where it is given.
        source: publication and table.
        same_protocol: False where data were split in another way than here, so that the number is context only.
        note: what one must know beside the number.
    """

    experiment: str
    system: str
    column: str
    value: float
    source: str
    sd: float | None = None
    same_protocol: bool = True
    note: str = ""


def _row(
    experiment: str,
    system: str,
    source: str,
    note: str = "",
    same_protocol: bool = True,
    **columns: float | tuple[float, float],
) -> list[Score]:
    scores = []
    for column, value in columns.items():
        mean, sd = value if isinstance(value, tuple) else (value, None)
        scores.append(
            Score(experiment, system, column.replace("__", "-").replace("_", " "), mean, source, sd, same_protocol, note)
        )
    return scores


SCORES: tuple[Score, ...] = (
    # Table 1: SAVEE, accuracy per speaker, means of ten executions.
    *_row(
        "table1_savee", "Ashwin et al. 2016", f"{_ASHWIN}, as given in Table 1 of the paper", DC=0.79, JE=0.78, JK=0.76, KL=0.80
    ),
    *_row(
        "table1_savee",
        PAPER,
        f"{_PEREIRA}, Table 1",
        DC=(0.8069, 0.0296),
        JE=(0.8096, 0.0341),
        JK=(0.8015, 0.0185),
        KL=(0.8246, 0.0270),
    ),
    *[
        Score(
            "table1_savee",
            system,
            "UAR",
            value,
            _BENCHMARK,
            same_protocol=False,
            note="leave one speaker out over the four speakers, a harder protocol than Table 1's",
        )
        for system, value in (
            ("wav2vec 2.0 base, frozen", 0.449),
            ("WavLM large, frozen", 0.667),
            ("data2vec 2.0 large, frozen", 0.758),
        )
    ],
    # Table 2: OMG-Emotion, official split.
    *_row(
        "table2_omg",
        "Barros et al. 2018 (baseline)",
        f"{_BARROS}, as given in Table 2 of the paper",
        F__score=0.39,
        arousal_CCC=0.07,
        valence_CCC=0.04,
    ),
    *_row(
        "table2_omg",
        "OMG-Emotion challenge, best audio",
        f"{_CHALLENGE}, as given in Table 2 of the paper",
        arousal_CCC=0.29,
        valence_CCC=0.36,
    ),
    *_row("table2_omg", PAPER, f"{_PEREIRA}, Table 2", F__score=0.73, arousal_CCC=0.17, valence_CCC=0.16),
    *_row(
        "table2_omg",
        "audEERING 2018, audio, validation part",
        _AUDEERING_OMG,
        arousal_CCC=0.343,
        note="scored on the validation part",
    ),
    *_row("table2_omg", "audEERING 2018, audio, test part", _AUDEERING_OMG, arousal_CCC=0.277, note="scored on the test part"),
    # Table 3: EmoDB, leave one speaker out.
    *_row("table3_emodb", "Deb and Dandapat 2018", f"{_DEB_2018}, as given in Table 3 of the paper", accuracy=0.838),
    *_row("table3_emodb", "Deb and Dandapat 2017", f"{_DEB_2017}, as given in Table 3 of the paper", accuracy=0.851),
    *_row("table3_emodb", PAPER, f"{_PEREIRA}, Table 3", accuracy=0.72),
    *_row("table3_emodb", "ComParE 2016 functionals + linear SVC", _AUDEERING_W2V2, UAR=0.771),
    *_row(
        "table3_emodb",
        "wav2vec 2.0 large (dimensional) embedding + SVC",
        _AUDEERING_W2V2,
        UAR=0.934,
        note="encoder fine-tuned on labelled emotional speech",
    ),
)

# What the paper's single number a column is held against, where it names no exact measure.
HELD_AGAINST: dict[str, dict[str, str]] = {
    "table1_savee": dict.fromkeys(("DC", "JE", "JK", "KL"), "accuracy"),
    "table2_omg": {
        "F-score": "f1_micro",
        "arousal CCC": "concordance_correlation_coefficient_arousal",
        "valence CCC": "concordance_correlation_coefficient_valence",
    },
    "table3_emodb": {"accuracy": "accuracy", "UAR": "unweighted_average_recall"},
}


def published(experiment: str, system: str | None = None, column: str | None = None) -> list[Score]:
    """Returns the published numbers of an experiment, in the order of the paper's table."""
    return [
        score
        for score in SCORES
        if score.experiment == experiment and system in (None, score.system) and column in (None, score.column)
    ]


def paper_value(experiment: str, column: str) -> float | None:
    """Returns the paper's own number in a column of an experiment's table, or None where it gives none."""
    scores = published(experiment, PAPER, column)
    return scores[0].value if scores else None


def marks_and_lines(experiment: str) -> tuple[dict[str, dict[str, tuple[float, float]]], dict[str, float]]:
    """Returns what a picture of scores per speaker shows of the published ones, in percent.

    Returns:
        System -> speaker -> (accuracy, standard deviation or NaN), and name -> one accuracy for all speakers.
    """
    marks: dict[str, dict[str, tuple[float, float]]] = {}
    lines: dict[str, float] = {}
    for score in published(experiment):
        if experiment == "table1_savee" and score.column in HELD_AGAINST[experiment]:
            deviation = math.nan if score.sd is None else 100 * score.sd
            marks.setdefault(score.system, {})[score.column] = 100 * score.value, deviation
        elif experiment == "table3_emodb" and score.system == PAPER:
            lines["the paper, all speakers"] = 100 * score.value
    return marks, lines

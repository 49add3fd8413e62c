"""Published numbers that ours are compared with: the paper's three tables, what it compares with, and later work.

Accuracies, recalls and F-scores are fractions, as everywhere in this project; tables show them in the paper's units.
"""

from dataclasses import dataclass

PAPER = "Pereira et al. 2018 (the paper)"

SOURCES = {
    "pereira": "Pereira, Santos, Maciel, Barros: Semi-supervised Model for Emotion Recognition in Speech, ICANN 2018",
    "ashwin": "Ashwin, Saran, Reddy: Video affective content analysis … hybrid SVM-RBM classifier, UPCON 2016, as given in "
    "Table 1 of the paper",
    "barros": "Barros et al.: The OMG-Emotion Behavior Dataset, arXiv 1803.05434, 2018, as given in Table 2 of the paper",
    "challenge": "OMG-Emotion Challenge 2018, best result from audio, as given in Table 2 of the paper",
    "deb2018": "Deb, Dandapat: Multiscale amplitude feature …, IEEE Trans. Cybernetics 2018, as given in Table 3 of the paper",
    "deb2017": "Deb, Dandapat: Emotion classification using segmentation …, IEEE Trans. Affective Computing 2017, as given in "
    "Table 3 of the paper",
    "omg": "Triantafyllopoulos et al.: audEERING's approach to the One-Minute-Gradual Emotion Challenge, 2018",
    "w2v2": "audEERING's public notebook on its wav2vec 2.0 emotion model (github.com/audeering/w2v2-how-to)",
    "benchmark": "public benchmark of frozen self-supervised speech encoders; second-hand",
}
_OTHER_PROTOCOL = "leave one speaker out over the four speakers, a harder protocol than Table 1's"

# experiment; system; source; column=value[±sd] …; note
_ROWS = f"""
table1_savee; Ashwin et al. 2016; ashwin; DC=0.79, JE=0.78, JK=0.76, KL=0.80;
table1_savee; {PAPER}; pereira; DC=0.8069±0.0296, JE=0.8096±0.0341, JK=0.8015±0.0185, KL=0.8246±0.0270;
table1_savee; wav2vec 2.0 base, frozen; benchmark; UAR=0.449; {_OTHER_PROTOCOL}
table1_savee; WavLM large, frozen; benchmark; UAR=0.667; {_OTHER_PROTOCOL}
table1_savee; data2vec 2.0 large, frozen; benchmark; UAR=0.758; {_OTHER_PROTOCOL}
table2_omg; Barros et al. 2018 (baseline); barros; F-score=0.39, arousal CCC=0.07, valence CCC=0.04;
table2_omg; OMG-Emotion challenge, best audio; challenge; arousal CCC=0.29, valence CCC=0.36;
table2_omg; {PAPER}; pereira; F-score=0.73, arousal CCC=0.17, valence CCC=0.16;
table2_omg; audEERING 2018, audio, validation part; omg; arousal CCC=0.343; scored on the validation part
table2_omg; audEERING 2018, audio, test part; omg; arousal CCC=0.277; scored on the test part
table3_emodb; Deb and Dandapat 2018; deb2018; accuracy=0.838;
table3_emodb; Deb and Dandapat 2017; deb2017; accuracy=0.851;
table3_emodb; {PAPER}; pereira; accuracy=0.72;
table3_emodb; ComParE 2016 functionals + linear SVC; w2v2; UAR=0.771; ours is compare_2016 in the ablations
table3_emodb; wav2vec 2.0 large (dimensional) embedding + SVC; w2v2; UAR=0.934; encoder fine-tuned on labelled emotional speech
"""


@dataclass(frozen=True)
class Score:
    """One published number.

    Attributes:
        experiment: the experiment of ours it belongs to.
        system: who reached it.
        column: of the paper's table: a speaker, "F-score", "arousal CCC", "valence CCC" or "accuracy"; or "UAR".
        value: fraction, or a concordance correlation coefficient.
        sd: standard deviation over the paper's ten executions, where it is given.
        source: publication and table.
        note: what one must know beside the number, such as another protocol.
    """

    experiment: str
    system: str
    column: str
    value: float
    sd: float | None
    source: str
    note: str


def _parse(row: str) -> list[Score]:
    experiment, system, source, columns, note = (cell.strip() for cell in row.split(";"))
    scores = []
    for cell in columns.split(", "):
        column, number = cell.split("=")
        value, _, sd = number.partition("±")
        scores.append(Score(experiment, system, column, float(value), float(sd) if sd else None, SOURCES[source], note))
    return scores


SCORES = tuple(score for row in _ROWS.strip().splitlines() for score in _parse(row))


def published(experiment: str, system: str | None = None, column: str | None = None) -> list[Score]:
    """Returns the published numbers of an experiment, in the order of the paper's table."""
    scores = [score for score in SCORES if score.experiment == experiment]
    return [score for score in scores if system in (None, score.system) and column in (None, score.column)]


def paper_value(experiment: str, column: str) -> float | None:
    """Returns the paper's own number in a column of an experiment's table, or None where it gives none."""
    scores = published(experiment, PAPER, column)
    return scores[0].value if scores else None

"""What README, CONTRIBUTING, CHANGELOG and docs/ say, checked without running commands: lengths, options, files, numbers."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import re
import shlex
import shutil
import subprocess

import pandas as pd
import pytest
from documents import DOCUMENTS, README, RESULTS, ROOT, find_parsers, find_spans

from classifiers.description import read_description
from experiments.evaluation.conditions import EXPERIMENTS, PAIRS_OVER_SEEDS, at_encoder_seed

TEXT = README.read_text(encoding="utf-8")
OPENING = " ".join(TEXT.split("```bash")[0].split())


# ------------------------------------------------------------------------------------------------------------- lengths


def test_the_readme_is_short():
    """As `wc -w` counts."""
    assert len(TEXT.split()) <= 1500


def test_the_first_command_comes_early():
    assert len(TEXT[: TEXT.index("```bash")].split()) < 200


def test_the_readme_has_at_most_six_rows_per_table_of_results():
    (section,) = RESULTS.findall(TEXT)
    tables = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert tables
    for table in tables:
        assert table.count("\n") - 2 <= 6, table


# ------------------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_exists(path):
    """Options in the text, such as `--tail pad`, are known to a command, with these values."""
    parsers = find_parsers()
    for span in find_spans(path):
        if span.startswith("--") and span != "--help":
            assert any(accepts(parser, shlex.split(span)) for parser in parsers.values()), span


def accepts(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    """Tells whether a parser knows all options among words with the values behind them; N stands for any number."""
    actions = parser._option_string_actions
    for word, following in itertools.pairwise([*words, "--"]):
        if not word.startswith("--"):
            continue
        action = actions.get(word)
        if action is None:
            return False
        if following.startswith("--"):
            continue
        value = "1" if following == "N" else following
        if action.nargs == 0 or (action.choices is not None and value not in action.choices):
            return False
        with contextlib.suppress(TypeError):
            try:
                (action.type or str)(value)
            except ValueError:
                return False
    return True


def test_options_with_wrong_values_are_noticed():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tail", choices=("pad", "drop"))
    parser.add_argument("--runs", type=int)
    parser.add_argument("--debug", action="store_true")
    assert accepts(parser, ["--tail", "pad", "--runs", "N", "--debug"])
    for words in (["--tail", "cut"], ["--runs", "two"], ["--debug", "1"], ["--tails"]):
        assert not accepts(parser, words)


# --------------------------------------------------------------------------------------------------- files and names


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_every_link_and_file_exists(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert (path.parent / link).exists(), link
    for name in re.findall(r"`((?:began|classifiers|experiments|tests|results)/[\w/.]*\.\w+)`", text):
        made = name.startswith("results/custom/") or name in ("results/tables/custom.md", "results/tables/robustness.md")
        assert made or (ROOT / name).exists(), name
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert (ROOT / "tests" / name).exists(), name


def test_every_footnote_is_there():
    """Each is used, and each that is used is written."""
    n_footnotes = 0
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        used, written = set(re.findall(r"\[\^(\w+)\](?!:)", text)), set(re.findall(r"^\[\^(\w+)\]:", text, re.MULTILINE))
        assert used == written, path
        n_footnotes += len(written)
    assert n_footnotes > 1


def read_map() -> dict[str, set[str]]:
    """Returns the modules that the code map of CONTRIBUTING names, by folder."""
    (block,) = re.findall(
        r"^```\n(began/.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    modules: dict[str, set[str]] = {}
    parents: list[str] = []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if folder := re.match(r" *(\w+)/", line):
            parents = [*parents[:depth], folder[1]]
            modules["/".join(parents)] = set()
        modules["/".join(parents[:depth] or parents)] |= set(re.findall(r"\b\w+\.py\b", line))
    return modules


def test_the_code_map_is_the_tree():
    """Every folder is in it, and of a folder whose modules it names, every module."""
    for folder, modules in read_map().items():
        assert (ROOT / folder).is_dir(), folder
        assert not modules - {path.name for path in (ROOT / folder).glob("*.py")}, folder
        if modules:
            assert {path.name for path in (ROOT / folder).glob("*.py")} - modules <= {"__init__.py", "__main__.py"}, folder
    folders = {
        str(path.parent.relative_to(ROOT))
        for name in ("began", "classifiers", "experiments")
        for path in (ROOT / name).rglob("*.py")
    }
    assert folders <= set(read_map())


def test_conditions_bear_their_present_names():
    """Names in backquotes that look like a condition of the ablations are one."""
    names = {name for experiment in EXPERIMENTS.values() for name in experiment.conditions}
    text = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    found = re.findall(r"`([a-z][a-z0-9_.]*_[a-z0-9_.]*)` −|− `([a-z][a-z0-9_.]*)` \|", text)
    assert len(found) > 10 and all(set(filter(None, name)) <= names for name in found)


# ------------------------------------------------------------------------------------------------------------- numbers


def accuracy_by_speaker(condition: str) -> pd.Series:
    """Returns the accuracy of each speaker in percent, averaged over the runs that are committed."""
    runs = []
    for path in sorted((ROOT / "results" / condition).glob("run*/predictions.csv")):
        table = pd.read_csv(path, dtype={"speaker": str})
        runs.append((table["target"] == table["prediction"]).groupby(table["speaker"]).mean())
    # A support vector machine on fixed folds gives the same in every run.
    assert len(runs) >= (1 if "statistics" in condition else 5), condition
    return 100 * pd.concat(runs, axis=1).mean(axis=1)


def mean_score(condition: str, metric: str = "accuracy", level: str = "utterance", fold: str = "pooled") -> float:
    """Returns a test score in percent, averaged over the runs that are committed."""
    runs = pd.concat(map(pd.read_csv, (ROOT / "results" / condition).glob("run*/metrics.csv")))
    scores = runs.query("split == 'test' and metric == @metric and level == @level and fold == @fold")["value"]
    assert len(scores) == runs["run"].nunique(), (condition, metric, level, fold)
    return 100 * scores.mean()


def difference(one: str, other: str) -> tuple[str, str]:
    """Returns a difference over the speakers and its 95 % interval, as the documents print them."""
    from scipy import stats

    points = accuracy_by_speaker(one) - accuracy_by_speaker(other)
    margin = stats.t.ppf(0.975, len(points) - 1) * points.std(ddof=1) / len(points) ** 0.5
    mean, low, high = (
        f"{value:+.1f}".replace("-", "−") for value in (points.mean(), points.mean() - margin, points.mean() + margin)
    )
    return mean, f"{low} to {high}"


def assert_opening_says(words: str, mean: str, interval: str) -> None:
    """The first number behind some words (a pattern) of README's opening is a difference, with its interval behind it.

    A difference has its sign, but for the plus in front, which may be left out.
    """
    shown = rf"{words}\D*(?<![+−])\+?{re.escape(mean.removeprefix('+'))}(?: points)? \({re.escape(interval)}[,)]"
    assert re.search(shown, OPENING), (words, mean, interval)


OPENING_DIFFERENCES = {
    "minus ComParE": ("table3_emodb/utterance_head", "ablations/compare_2016"),
    r"minus ComParE: \S+ \([^)]*\) and": ("table3_emodb/utterance_head_16_filters", "ablations/compare_2016"),
    "random weights.* SAVEE:": ("label_efficiency/savee_utterance_head_100", "label_efficiency/savee_initial_weights_100"),
}


@pytest.mark.parametrize("words", OPENING_DIFFERENCES)
def test_the_differences_of_the_readme(words):
    assert_opening_says(words, *difference(*OPENING_DIFFERENCES[words]))


def test_another_sign_is_noticed(monkeypatch):
    for said, is_right in (("A 4.4", True), ("A gains +4.4 points", True), ("A −4.4", False), ("A 14.4", False)):
        monkeypatch.setitem(globals(), "OPENING", f"{said} (−0.3 to +9.1)")
        with contextlib.nullcontext() if is_right else pytest.raises(AssertionError):
            assert_opening_says("A", "+4.4", "−0.3 to +9.1")
    monkeypatch.setitem(globals(), "OPENING", "A 4.4 (−9.1 to +0.3)")
    with pytest.raises(AssertionError):
        assert_opening_says("A", "−4.4", "−9.1 to +0.3")


@pytest.mark.parametrize(
    ("condition", "level", "shown"),
    [
        ("table3_emodb/utterance_head", "utterance", r"Our head on whole utterances: (\S+) %"),
        ("table3_emodb/utterance_head", "recording", r"seven playback speeds \(otherwise (\S+) and"),
        ("table3_emodb/utterance_head_16_filters", "utterance", r"with twice the filters: (\S+) %"),
        ("table3_emodb/utterance_head_16_filters", "recording", r"seven playback speeds \(otherwise \S+ and (\S+) %"),
        ("table3_emodb/head_per_second", "utterance", r"one second at a time: (\S+) %"),
        ("ablations/functionals", "utterance", r"librosa (\S+) %"),
        ("ablations/compare_2016", "utterance", r"ComParE 2016 (\S+) %"),
    ],
)
def test_the_accuracies_of_the_readme(condition, level, shown):
    """Over all utterances, averaged over the runs."""
    assert re.findall(shown, OPENING) == [f"{mean_score(condition, level=level):.1f}"]


SPEAKERS = ("DC", "JE", "JK", "KL")
"""Of SAVEE, in the order of Table 1."""


def test_the_accuracies_by_speaker_of_the_readme():
    """Ours and the paper's."""
    ours = [f"{mean_score('table1_savee/utterance_split_utterance_head', fold=speaker):.0f}" for speaker in SPEAKERS]
    table = pd.read_csv(ROOT / "results" / "tables" / "table1.csv")
    papers = table[table["system"].str.startswith("Pereira et al. 2018")].set_index("column")["mean"]
    shown = [", ".join(ours), ", ".join(f"{papers[speaker]:.0f}" for speaker in SPEAKERS)]
    assert re.findall(r"(\d+, \d+, \d+, \d+) %", OPENING.split("SAVEE, one model per speaker")[1]) == shown


def test_what_pre_training_gains_over_encoders():
    """In README and docs, as `make tables` writes it; the seeds' differences follow from the predictions."""
    rendered = (ROOT / "results" / "tables" / "encoder_seeds.md").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (EmoDB|SAVEE) \| `(\S+)` − `(\S+)`[^|]* \| (.*) \|$", rendered, re.MULTILINE)
    assert len(rows) == len(PAIRS_OVER_SEEDS)
    for corpus, one, other, cells in rows:
        assert f"| {corpus} | `{one}` − `{other}` | {cells} |" in text
        for seed, cell in enumerate(filter(None, (cell.strip() for cell in cells.split("|")[:3]))):
            mean, interval = difference(*(f"ablations/{at_encoder_seed(name, seed)}" for name in (one, other)))
            assert re.sub(r"[+−]0\.0", "0.0", f"{mean} ({interval})") == cell
    of_head = {(name, other.removeprefix(f"{name}_")): cells.split(" | ") for _, name, other, cells in rows}
    for words, cell in (
        ("published encoder", of_head["utterance_head_100_epochs", "utterance_head_initial_weights"][-1]),
        ("twice the filters", of_head["utterance_head_16_filters", "utterance_head"][-1]),
        (
            "twice the filters .* with random weights",
            of_head["utterance_head_16_filters_initial_weights", "utterance_head_initial_weights"][-1],
        ),
        ("shorter trainings", of_head["utterance_head", "initial_weights"][-1]),
        (r"random weights.* SAVEE: \S+ \([^)]*\) and", of_head["savee_utterance_head", "initial_weights"][-1]),
        ("BEGANs", of_head["utterance_head", "autoencoder"][-1]),
    ):
        assert_opening_says(words, *re.fullmatch(r"(\S+) \((.*)\)", cell).groups())


_OF_SHARES = [f"label_efficiency/{{}}{name}_{{:03d}}" for name in ("utterance_head", "initial_weights", "functionals")]


def test_the_differences_of_the_ablations():
    text = (ROOT / "docs" / "ablations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` − `(\S+)` \| (\S+) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) > 5
    for one, other, *shown in rows:
        assert tuple(shown) == difference(f"ablations/{one}", f"ablations/{other}"), (one, other)
    emodb, savee = text.split("--corpus savee`", 1)
    for corpus, section, n_shares in (("emodb", emodb, 5), ("savee", savee, 3)):
        shares = re.findall(r"^\| (\d+) % \| (.*) \|$", section, re.MULTILINE)
        assert len(shares) == n_shares
        for percent, cells in shares:
            shown = [name.format(f"{corpus}_", int(percent)) for name in _OF_SHARES]
            expected = [text for other in shown[1:] for text in difference(shown[0], other)]
            assert cells.split(" | ") == expected[: 2 if corpus == "emodb" else 4], percent
    levels = (
        f"{accuracy_by_speaker(f'label_efficiency/savee_{name}_100').mean():.1f} %"
        for name in ("utterance_head", "functionals")
    )
    assert all(level in savee for level in levels)


def test_the_prediction_of_the_readme(shared_data, tmp_path, monkeypatch, capsys):
    """The output that is shown is what the committed model says of that recording, to a percent."""
    from began.command_line import run_script
    from classifiers import predict

    model, name = ROOT / "results/table3_emodb/utterance_head/model.keras", re.search(r"EmoDB's `(\w+)`", TEXT)[1]
    shutil.copy(shared_data / "EmoDB" / "wav" / f"{name}.wav", tmp_path / "recording.wav")
    monkeypatch.chdir(tmp_path)
    assert run_script(predict.main, predict.make_parser(), ["--model", str(model), "recording.wav"]) == 0
    shown, found = (
        re.search(r"recording\.wav  .*", text)[0] for text in (TEXT.split("prints the emotion")[1], capsys.readouterr().out)
    )
    percents = [{word: int(percent) for word, percent in re.findall(r"(\w+) (\d+) %", text)} for text in (shown, found)]
    assert percents[0].keys() == percents[1].keys() and len(percents[0]) == 7
    assert all(abs(percents[0][word] - percents[1][word]) <= 1 for word in percents[0])


def test_the_count_on_savee_of_the_readme(shared_data, capsys):
    """Recordings of SAVEE that the committed model names rightly, of those whose emotion it knows; two may lie on an edge."""
    from began.command_line import run_script
    from classifiers import predict

    if not (shared_data / "SAVEE").is_dir():
        pytest.skip("no SAVEE")
    model = ROOT / "results/table3_emodb/utterance_head/model.keras"
    words = ["--model", str(model), "--output", "csv", str(shared_data / "SAVEE")]
    assert run_script(predict.main, predict.make_parser(), words) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    code = table["file"].str.extract(r"([a-z]+)\d+\.wav$")[0]
    emotions = {"a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness"}
    known = code.isin(emotions)
    shown = re.search(r"of (\d+) SAVEE recordings.*?it names (\d+) correctly \((\d+) %\)", TEXT, re.DOTALL).groups()
    n_known, n_right, percent = map(int, shown)
    assert known.sum() == n_known and round(100 * n_right / n_known) == percent
    assert abs((code.map(emotions) == table["prediction"]).sum() - n_right) <= 2


def test_the_scores_of_the_choices():
    """Binary accuracy of utterances and of chunks, then accuracy of both."""
    section = (ROOT / "docs" / "choices.md").read_text(encoding="utf-8").split("## Which reading comes closest")[1]
    said = re.search(
        r"binary accuracy of (\S+) % over utterances and (\S+) % over chunks,\s+where accuracy is (\S+) % and (\S+) %", section
    )
    kinds = itertools.product(("binary_accuracy", "accuracy"), ("utterance", "chunk"))
    assert list(said.groups()) == [f"{mean_score('table3_emodb/head_per_second', *kind):.1f}" for kind in kinds]


def test_the_picture_of_the_readme_is_small():
    """A clone holds it for ever."""
    assert 10_000 < (ROOT / "docs" / "prediction.png").stat().st_size < 200_000


def test_the_scores_of_carrying_over():
    table = pd.read_csv(ROOT / "results" / "tables" / "transfer.csv")
    section = (ROOT / "docs" / "other-corpora.md").read_text(encoding="utf-8").split("[The table]")[1].split("\n## ")[0]

    def scores(column: str, method: str, training: str, *shots: int) -> list[str]:
        found = table[(table["method"] == method) & (table["training"] == training)].set_index(["shots", "target"])[column]
        return [f"{abs(found[number, target]):.1f}" for number in shots for target in ("savee", "emodb")]

    head = "utterance_head"
    expected = [*scores("uar", head, "source", 0), f"{table['chance'].iloc[0]:.1f}", *scores("uar", head, "adapted", 0)]
    expected += [*scores("uar", head, "source", 20), *scores("uar", head, "alone", 20)]
    expected += scores("difference", head, "source", 5, 20)
    worse = table[(table["method"] == "functionals") & (table["target"] == "emodb") & (table["training"] == "source")]
    assert (worse["difference_ci_high"].dropna() < 0).all()
    expected += [f"{-end:.1f}" for end in (worse["difference"].max(), worse["difference"].min())]
    columns = [scores(f"difference{end}", "functionals", "adapted", 0) for end in ("", "_ci_low", "_ci_high")]
    expected += [value for of_target in zip(*columns, strict=True) for value in of_target]
    assert re.findall(r"\d+\.\d", section) == expected


def test_the_readings_of_table_1():
    text, table = (
        (ROOT / "docs" / "choices.md").read_text(encoding="utf-8"),
        pd.read_csv(ROOT / "results" / "tables" / "table1.csv"),
    )
    table = table.set_index(["condition", "metric", "level", "scope"])
    conditions = {
        "head on whole utterances": "utterance_split_utterance_head",
        "support vector machine on the same statistics": "utterance_split_utterance_statistics",
        "head on one second": "utterance_split",
        "head on one second, chunks split (leaking)": "chunk_split_leaking",
    }
    rows = re.findall(
        r"^\| ([^|]+) \| (accuracy|binary accuracy) of (utterance|chunk)s \| (.*) \| (\d+) \|$", text, re.MULTILINE
    )
    assert len(rows) >= 4
    for name, metric, level, scores, n_runs in rows:
        for speaker, score in zip(SPEAKERS, scores.split(" | "), strict=True):
            found = table.loc[(conditions[name], metric.replace(" ", "_"), level, speaker)]
            assert abs(found["mean"] - float(score)) < 0.51 and found["n_runs"] == int(n_runs), (name, metric, level, speaker)


def test_the_scores_of_adapting():
    rendered = (ROOT / "results" / "tables" / "robustness.md").read_text(encoding="utf-8").split("## Adapted")[1]
    section = (ROOT / "docs" / "method.md").read_text(encoding="utf-8").split("## Adapting")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (as recorded|telephone band|reverberation)\S* \| (.*) \|$", section, re.MULTILINE)
    assert len(rows) == 3
    for name, scores in rows:
        assert re.search(rf"^\| {name}[^|]* \| {re.escape(scores)} \|$", rendered, re.MULTILINE), name


def test_the_scores_of_the_method():
    rendered = (ROOT / "results" / "tables" / "table3.md").read_text(encoding="utf-8")
    section = (ROOT / "docs" / "method.md").read_text(encoding="utf-8").split("## What it scores")[1]
    scores = re.findall(r"\d\d\.\d ± \d\.\d", section)
    assert len(scores) >= 3 and all(score in rendered for score in scores)
    difference, low, high = re.search(r"is (\S+) points above .* speakers\s(\S+) to (\S+)\)", section, re.DOTALL).groups()
    assert f"+{difference} (+{low} to +{high})" in rendered


def test_no_model_trained_on_savee_is_passed_on():
    """Its licence does not allow it; scores and predictions may be."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    listed = subprocess.run(["git", "ls-files", "results"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    models = [name for name in listed if name.startswith("results/table") and name.endswith((".keras", ".onnx"))]
    assert models and all("savee" not in str(read_description(ROOT / name)["corpus"]).lower() for name in models)

"""Imports go one way, from package to package, without circles, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import ast
import graphlib
import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "began",
    "classifiers",
    "experiments.corpora",
    "experiments.evaluation",
    "experiments.figures",
    "experiments.reporting",
    "experiments.benchmarks",
    "commands",
)
"""From the lowest level up; the commands are the files directly in experiments/."""

HEAVY = ("tensorflow", "keras", "librosa", "matplotlib", "sklearn", "scipy", "hyperopt", "hyperas", "pyspark", "nbconvert")
LIGHT = (
    "began.audio",
    "began.spectrogram",
    "began.files",
    "experiments.corpora.emodb",
    "classifiers.metrics",
    "experiments.evaluation.runs",
    "experiments.evaluation.protocols",
)
FILES = [path for package in ("began", "classifiers", "experiments") for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
SCRIPTS = [
    name.removesuffix(".__main__")
    for name, path in MODULES.items()
    if "run_script(main, make_parser()" in path.read_text(encoding="utf-8")
]


def level_of(module: str) -> int:
    """Returns the place of a module's package in this order."""
    inside = [level for level, package in enumerate(PACKAGES) if f"{module}.".startswith(f"{package}.")]
    return inside[0] if inside else len(PACKAGES) - 1


def imported_by(path: Path) -> set[str]:
    """Returns the modules of the project that a file imports anywhere, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide where a module lives"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {node.module} if not inside & set(MODULES) else inside & set(MODULES)
    return names & set(MODULES)


def test_there_are_modules_and_scripts():
    assert len(MODULES) > 30
    assert {"experiments.table3_emodb", "experiments.pretrain_librispeech", "classifiers.predict"} <= set(SCRIPTS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only_and_nobody_imports_a_command(module):
    imported = imported_by(MODULES[module]) - {"experiments"}
    upward = {name for name in imported if level_of(name) > level_of(module)}
    assert not upward
    commands = {name for name in imported if level_of(name) == len(PACKAGES) - 1}
    assert not commands


def test_there_are_no_circles():
    graph = {name: imported_by(path) - {name} for name, path in MODULES.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


SHOW_HELP = """
import os, runpy, sys
import numpy, pandas  # once, for all: they may be imported, and take the longest
heavy, scripts = (words.split(",") for words in sys.argv[1:])
for script in scripts:
    if not (child := os.fork()):
        os.dup2(os.open(f"{script}.txt", os.O_WRONLY | os.O_CREAT), 1)
        sys.argv = ["script", "--help"]
        try:
            runpy.run_module(script, run_name="__main__")
        except SystemExit as end:
            assert not end.code, end.code
        found = sorted(set(sys.modules) & set(heavy))
        sys.exit(f"{script} imports {found}" if found else 0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(script)
"""


def test_help_imports_nothing_heavy(tmp_path):
    """Quick help, measured by what is imported: a stopwatch would measure the machine. It fits any terminal."""
    outcome = subprocess.run(
        [sys.executable, "-c", SHOW_HELP, ",".join(HEAVY), ",".join(SCRIPTS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
    )
    assert outcome.returncode == 0, outcome.stderr
    for script in SCRIPTS:
        assert f"usage: python -m {script}" in (tmp_path / f"{script}.txt").read_text(encoding="ascii")


def test_light_modules_stay_light():
    code = (
        "import importlib, sys\nfor module in sys.argv[2:]:\n    importlib.import_module(module)\n"
        "    found = sorted(set(sys.modules) & set(sys.argv[1].split(',')))\n    assert not found, (module, found)"
    )
    outcome = subprocess.run([sys.executable, "-c", code, ",".join(HEAVY), *LIGHT], cwd=ROOT, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize(("given", "expected"), [({}, "1"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0")])
def test_onednn_is_on_unless_the_user_says_otherwise(given, expected):
    """Without it, TensorFlow takes a multiple of the time on processors without AVX-512 VNNI."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"} | given
    code = "import os, classifiers.training\nprint(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert outcome.stdout.strip() == expected, outcome.stderr


def test_no_module_of_a_forbidden_name():
    """House style: a module is named after its role."""
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "misc", "common", "data2", "manager")]


@pytest.mark.parametrize("script", ["experiments.table1_savee", "experiments.table2_omg", "experiments.table3_emodb"])
def test_defaults_are_the_papers(script):
    module = importlib.import_module(script)
    arguments = module.make_parser().parse_args(["--data-dir", "x", "--encoder", "y"])
    # Paper, sections 3.3 and 4; 20 evaluations as the name of the authors' file says.
    assert (arguments.max_evals, arguments.epochs, arguments.runs) == (20, 100, 10)


def test_defaults_of_the_pre_training_are_the_papers():
    from experiments import pretrain_librispeech

    arguments = pretrain_librispeech.make_parser().parse_args(["--data-dir", "x"])
    assert (arguments.gamma, arguments.learning_rate, arguments.batch_size, arguments.epochs) == (0.7, 5e-5, 16, 100)

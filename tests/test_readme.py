"""Every command and snippet of README, CONTRIBUTING and docs/, run on miniature data as a newcomer would.

Each command is parsed as it is written by its own parser, and then run with the options of `SMALLER` behind it, in the order
of the documents, in a folder that has everything under the names that the documents use. A command that this test does not
know how to run makes it fail. What is checked without running anything: test_docs.py.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib
import importlib.metadata
import importlib.util
import io
import itertools
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import fuzz
import numpy as np
import pytest
import soundfile
import test_older_keras
from documents import DOCUMENTS, README, ROOT, find_blocks, find_commands, find_parsers
from packaging.requirements import Requirement
from smaller import draw_nothing, make_few_copies, shorten_heads
from synthetic_corpora import write_omg, write_savee

from began import published_networks
from began.command_line import run_script
from classifiers.export import export_model
from experiments import demo
from experiments.corpora import emodb, librispeech, omg, synthetic
from experiments.corpora.record import Archive

_SMALL_TRAINING = ["--runs", "1", "--epochs", "1", "--workers", "1"]
_SMALL_TABLE = [*_SMALL_TRAINING, "--max-evals", "1"]
_SMALL_NETWORKS = ["--base-filters", "2", "--latent-size", "4", "--batch-size", "2", "--epochs", "1"]
SMALLER = {
    "classifiers.predict": [],
    "experiments.ablations": _SMALL_TRAINING,
    "experiments.check": [],
    "experiments.custom": _SMALL_TABLE,
    "experiments.demo": [],
    "experiments.download": [],
    "experiments.embed": [],
    "experiments.evaluate": [],
    "experiments.label_efficiency": [*_SMALL_TRAINING, "--percents", "100", "--methods", "utterance_head"],
    "experiments.manifest": [],
    "experiments.prepare_omg": [],
    "experiments.pretrain_librispeech": _SMALL_NETWORKS,
    "experiments.report": [],
    "experiments.robustness": ["--methods", "functionals", "--alterations", "gain_minus_12_db"],
    "experiments.table1_savee": _SMALL_TABLE,
    "experiments.table2_omg": _SMALL_TABLE,
    "experiments.table3_emodb": _SMALL_TABLE,
    "experiments.transfer": ["--methods", "functionals", "--runs", "1", "--workers", "1"],
}
"""Module -> what makes its command cheap."""
PARSED_ONLY = ("experiments.benchmarks",)
"""It takes minutes and has no smaller form; it has tests of its own."""

COMMITTED = (
    "results/pretrain_librispeech/began/encoder.keras",
    "results/pretrain_librispeech/began/components.npz",
    "results/pretrain_librispeech/began-16-filters/encoder.keras",
    "results/pretrain_librispeech/began-16-filters/components.npz",
    "results/table3_emodb/utterance_head/model.keras",
    "results/table3_emodb/utterance_head_16_filters/model.keras",
)
"""What a clone holds and commands of the documents take."""


# --------------------------------------------------------------------------------------------- the newcomer's folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the files of a clone that the commands touch, and a user's recordings and manifest."""
    folder = tmp_path_factory.mktemp("newcomer")
    # Of the notebooks, one: the others are in test_notebooks.py.
    for name in ("README.md", "Makefile", "requirements.txt", "notebooks/03_tables.ipynb", *COMMITTED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    write_savee(folder / "data" / "SAVEE", n_per_emotion=3, speakers=("DC", "JE"), sample_rate=16_000, seconds=0.3)
    write_videos(folder)
    for name in ("recording.wav", "new_recording.wav", "one.wav", "two.flac", "folder/a.wav", "folder/b.ogg"):
        record(folder / name)
    write_manifest(folder / "my.csv")
    return folder


def record(path: Path, emotion: str = "neutral", speaker: str = "me") -> None:
    path.parent.mkdir(exist_ok=True)
    seed = zlib.crc32(path.name.encode())  # no two recordings are copies
    soundfile.write(path, synthetic.synthesize_utterance(speaker, "F", emotion, seconds=1.2, seed=seed), 16_000)


def write_videos(folder: Path) -> None:
    """Writes OMG's CSV files, and a video (a sound file is one, to ffmpeg) for every link in them."""
    data = write_omg(folder / "data" / "OMG", (5, 2, 1), n_utterances=4, seconds=0.3)
    rows = omg.read_annotations(data)
    if shutil.which("ffmpeg") is not None:  # else the utterances stay as they are
        for path in [path for path in data.iterdir() if path.is_dir()]:
            shutil.rmtree(path)
    (folder / "videos").mkdir()
    for link in {str(row["video"]) for row in rows}:
        seconds = max(float(row["end"]) for row in rows if row["video"] == link)
        voice = synthetic.synthesize_utterance(link, "F", "neutral", seconds=seconds + 1, seed=0)
        soundfile.write(folder / "videos" / f"{link}.wav", voice, 16_000)


def write_manifest(path: Path) -> None:
    """Writes the manifest that the README shows, with more recordings of more speakers, in the same columns."""
    shown = re.search(r"^cat my\.csv.*\n((?:# .*\n)+)", README.read_text(encoding="utf-8"), re.MULTILINE)[1]
    header, *rows = (line.removeprefix("# ").split(",") for line in shown.splitlines())
    assert header == ["file", "label", "speaker"]
    labels, speakers = sorted({row[1] for row in rows}), [*(row[2] for row in rows), "clara", "dan"]
    rows += [[f"wav/{speaker}_{label}.wav", label, speaker] for speaker in speakers for label in labels]
    for name, label, speaker in rows:
        record(path.parent / name, label, speaker)
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")


def pack_corpora(folder: Path) -> None:
    """Writes miniature archives in the layout of the published ones, to be fetched from this disk's server."""
    synthetic.write_librispeech(folder / "LibriSpeech", n_speakers=2, n_utterances=3, seconds=1.5)
    with tarfile.open(folder / "train-clean-100.tar.gz", "w:gz") as archive:
        archive.add(folder / "LibriSpeech", "LibriSpeech")
    generator = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "download.zip", "w") as archive:
        for name in emodb.list_published():
            sound = io.BytesIO()  # a sound of its own: copies would be reported
            soundfile.write(sound, generator.uniform(-0.1, 0.1, 1600), 16_000, format="WAV", subtype="PCM_16")
            archive.writestr(f"wav/{name}.wav", sound.getvalue())


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Puts a server on this machine in the place of the corpora's own."""
    pack_corpora(tmp_path)
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_address[1]}"

        def move(archive: Archive) -> Archive:
            return Archive(f"{here}/{PurePosixPath(archive.url).name}", None, 0)

        monkeypatch.setattr(librispeech, "ARCHIVES", {name: move(one) for name, one in librispeech.ARCHIVES.items()})
        monkeypatch.setattr(emodb, "ARCHIVE", move(emodb.ARCHIVE))
        yield
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


# -------------------------------------------------------------------------------------------------- trying a command


def split_command(line: str) -> Iterator[tuple[dict[str, str], list[str], str | None]]:
    """Yields environment, words and the file that takes the output, of each command of a line."""
    words = shlex.split(line, comments=True)
    for mark, part in itertools.groupby(words, lambda word: word == "&&"):
        if mark:
            continue
        part = list(part)
        environment = dict(word.split("=", 1) for word in itertools.takewhile(re.compile(r"[A-Z_]+=").match, part))
        part = part[len(environment) :]
        target = None
        if ">" in part:
            assert part[-2] == ">", line
            target, part = part[-1], part[:-2]
        yield environment, part, target


def try_command(line: str) -> None:
    """Runs a line of a document in the current folder.

    Raises:
        AssertionError: it fails, or there is no way known to run it.
    """
    for environment, words, target in split_command(line):
        assert not environment and words, f"{line!r}: no way known to try it"
        program, *rest = words
        known = PROGRAMS.get(re.sub(r"^(?:\.venv/bin/)?(\w+?)3?$", r"\1", program))
        assert known is not None, f"{line!r}: no way known to try {program!r}"
        if target is None:
            known(rest)
        else:
            with open(target, "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
                known(rest)
            assert Path(target).stat().st_size, line


def try_python(words: list[str]) -> None:
    option, module, *rest = words
    if option == "-c":
        subprocess.run([sys.executable, *words], check=True)
        return
    if option == "tests/fuzz.py":
        fuzz.make_parser().parse_args(words[1:])
        return
    assert option == "-m", words
    if module == "venv":
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", *rest], check=True)
    elif module == "pytest":
        assert importlib.util.find_spec("xdist"), "-n belongs to pytest-xdist"
        assert subprocess.run([sys.executable, "-m", "pytest", *rest[:-1], "--version"], cwd=ROOT).returncode == 0
        assert (ROOT / rest[-1]).exists()
    elif module == "pip":
        try_pip([word for word in rest if word not in ("--quiet", "--disable-pip-version-check")])
    else:
        try_script(module, rest)


def test_the_commands_that_the_demo_ends_with_can_be_given():
    commands = re.findall(r"python -m (\S+) +(.+)", demo.NEXT)
    assert [module for module, _ in commands] == [
        "classifiers.predict",
        "experiments.download",
        "experiments.table3_emodb",
        "experiments.custom",
    ]
    for module, words in commands:
        arguments = vars(importlib.import_module(module).make_parser().parse_args(shlex.split(words)))
        assert all(path.is_file() for name, path in arguments.items() if name in ("model", "encoder"))


def try_script(module: str, words: list[str]) -> None:
    """Parses the options of a command as they are written, and runs it with them and what makes it cheap."""
    assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file() or module in PARSED_ONLY, module
    if module in PARSED_ONLY:
        importlib.import_module(
            f"{module}.__main__" if module == "experiments.benchmarks" else module
        ).make_parser().parse_args(words)
        return
    script = importlib.import_module(module)
    arguments = script.make_parser().parse_args(words)
    assert module in SMALLER, f"{module}: say in SMALLER how it is made cheap"
    if getattr(arguments, "worker_index", None) is not None:
        return  # all workers have to run at once: test_every_machine
    if module == "experiments.pretrain_librispeech" and arguments.name != script.make_parser().get_default("name"):
        before = arguments.results_dir / "pretrain_librispeech" / script.make_parser().get_default("name")
        shutil.copytree(before, before.with_name(arguments.name))  # another training would be the same, but for its length
        return
    if module == "experiments.demo":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(script, "_run", lambda inner, *argv: try_script(inner, list(argv)) or 0)
            small = {
                "write_librispeech": {"n_speakers": 2, "n_utterances": 2, "seconds": 1.5},
                "write_emodb": {"speakers": 4, "n_texts": 1, "seconds": 0.3},
            }
            for name, sizes in small.items():
                write = getattr(synthetic, name)
                patch.setattr(synthetic, name, lambda to, write=write, sizes=sizes, **large: write(to, **{**large, **sizes}))
            assert run_script(script.main, script.make_parser(), words) == 0
        return
    outcome = io.StringIO()
    with contextlib.redirect_stderr(outcome), pytest.MonkeyPatch.context() as patch:
        if module != "experiments.report":  # every table ends with drawing them all; once is enough
            draw_nothing(patch)
        smaller = [*SMALLER[module]]
        if module == "experiments.ablations":  # those that train nothing large; of conditions named, the first
            cheap = ["initial_weights", "majority"] if arguments.corpus == "emodb" else ["savee_utterance_statistics"]
            smaller += ["--conditions", *(arguments.conditions or cheap)[: 1 if arguments.conditions else None]]
        code = run_script(script.main, script.make_parser(), [*words, *smaller])
    said = outcome.getvalue()
    if module == "experiments.prepare_omg" and shutil.which("ffmpeg") is None:
        assert code == 2 and "apt install ffmpeg" in said
    else:
        assert code == 0, f"python -m {module} {shlex.join(words)}\n{said}"
    if module == "experiments.check" and arguments.corpus == "emodb":  # it was complete; from here on it is small
        shutil.rmtree("data/EmoDB")
        synthetic.write_emodb("data/EmoDB", speakers=4, n_texts=1, seconds=0.3)


def try_pip(words: list[str]) -> None:
    """Checks that what is to be installed can be named so; nothing is installed."""
    assert words[0] == "install", words
    if words[1] == "-r":
        pins = list_pins(Path(words[2]))
        assert pins and pins == {name: f"=={importlib.metadata.version(name)}" for name in pins}
        return
    for word in words[1:]:
        here = re.fullmatch(r"\.(?:\[(\w+)\])?", word)  # this project, with an extra
        if here is None:
            Requirement(word)
        elif here[1]:
            assert here[1] in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def list_pins(path: Path, **machine: str) -> dict[str, str]:
    """Returns the packages of a file of requirements, and their versions, for this or another machine."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pins = [Requirement(line) for line in lines if line]
    return {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(machine)}


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "tensorflow-cpu"),
        ("Windows", "AMD64", "tensorflow-cpu"),
        ("Linux", "aarch64", "tensorflow"),
        ("Darwin", "arm64", "tensorflow"),
    ],
)
def test_every_machine_gets_a_tensorflow_that_exists(system, machine, name):
    pins = list_pins(ROOT / "requirements.txt", platform_system=system, platform_machine=machine)
    assert [pin for pin in pins if pin.startswith("tensorflow")] == [name]
    assert pins[name] == "==2.21.0"


def try_make(words: list[str]) -> None:
    """Tries what a target's recipe would run."""
    for target in words:
        # The tests may themselves be run by make.
        listed = subprocess.run(["make", "--dry-run", "--no-print-directory", target], capture_output=True, text=True)
        assert listed.returncode == 0, listed.stderr
        for line in listed.stdout.splitlines():
            if not re.match(r"make(\[\d+\])?: ", line):  # "Nothing to be done …"; [1]: make below make
                try_command(line)


def try_lint(program: str, words: list[str]) -> None:
    """Checks that a linter has the subcommand; what it says about the code is not for this test."""
    subprocess.run([sys.executable, "-m", program, *words, "--help"], check=True, capture_output=True)


def try_nothing(words: list[str]) -> None:
    """For commands that need a second machine, or change this one."""
    assert words


def try_source(words: list[str]) -> None:
    subprocess.run(["bash", "-c", 'source "$1" && [[ $VIRTUAL_ENV = "$PWD"/.venv ]]', "bash", *words], check=True)


def try_program(program: str, words: list[str]) -> None:
    """Runs a program of the installed package as the command that it starts."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    try_script(scripts[program].partition(":")[0], words)


def try_cat(words: list[str]) -> None:
    for word in words:
        print(Path(word).read_text(encoding="utf-8"))


def try_touch(words: list[str]) -> None:
    for word in words:
        Path(word).touch()


def try_tensorboard(words: list[str]) -> None:
    """Looks into the logs as TensorBoard does, without serving them."""
    done = subprocess.run([sys.executable, "-m", "tensorboard.main", *words, "--inspect"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("reconstruction_loss", "generator_loss", "k", "convergence_measure", "learning_rate", "diversity"):
        assert name in done.stdout, done.stdout


def try_extras(words: list[str]) -> None:
    """Checks the script's syntax, and that all it installs is pinned; it takes minutes, and has tests of its own to run."""
    assert not words
    subprocess.run(["bash", "-n", ROOT / ".ci" / "extras"], check=True)
    text = (ROOT / ".ci" / "extras").read_text(encoding="utf-8")
    installed = {name for line in re.findall(r"^install (.+)$", text, re.MULTILINE) for name in line.partition("#")[0].split()}
    assert installed - {"--no-deps"} == set(list_pins(ROOT / "requirements-extras.txt"))
    assert re.search(r'^older_keras="(.*?)"', text, re.MULTILINE)[1].split() == list(test_older_keras.VERSIONS)


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "python": try_python,
    "pip": try_pip,
    "make": try_make,
    "source": try_source,
    "cat": try_cat,
    "tensorboard": try_tensorboard,
    "touch": try_touch,
    ".ci/extras": try_extras,
    **{program: functools.partial(try_program, program) for program in ("began-predict", "began-embed", "began-evaluate")},
    "ruff": functools.partial(try_lint, "ruff"),
    "mypy": functools.partial(try_lint, "mypy"),
    "ssh": try_nothing,
    "sudo": try_nothing,
}


# ----------------------------------------------------------------------------------------------------------- the tests


def test_every_command_works(folder, published, monkeypatch, subtests):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the notebooks' kernels
    commands: dict[str, str] = {}
    for path in DOCUMENTS:
        for command in find_commands(path):
            commands.setdefault(command, path.name)
    assert len(commands) > 25
    shorten_heads(monkeypatch)
    make_few_copies(monkeypatch)
    for command, document in commands.items():
        with subtests.test(f"{document}: {command}"):
            try_command(command)


def test_every_snippet_works(folder, monkeypatch, subtests):
    monkeypatch.chdir(folder)
    if not Path("data/EmoDB").exists():
        synthetic.write_emodb("data/EmoDB", speakers=4, n_texts=1, seconds=0.3)
    if not Path("model.onnx").exists():
        export_model(published_networks.MODEL, "onnx", "model.onnx")
    snippets = [(path.name, snippet) for path in DOCUMENTS for snippet in find_blocks(path, "python")]
    assert len(snippets) > 2
    for document, snippet in snippets:
        with subtests.test(f"{document}: {snippet}"):
            names: dict[str, object] = {}
            exec(compile(snippet, document, "exec"), names)
            if shape := re.search(r"^features = .*# (\(.*\))(, float32)?$", snippet, re.MULTILINE):
                assert str(names["features"].shape) == shape[1]
            else:
                assert "scores" in names


@pytest.mark.parametrize(
    "line",
    [
        "python -m experiments.table9_unknown --data-dir data",
        "ruby run.rb",
        "X=1 python -m experiments.check emodb data/EmoDB",
        "python -m experiments.table3_emodb --data-dir data/EmoDB --encoder e --no-such-option",
        "python -m experiments.ablations --data-dir data/EmoDB --conditions no_such",
        "make no-such-target",
    ],
)
def test_a_command_that_is_wrong_or_unknown_fails(folder, monkeypatch, line):
    monkeypatch.chdir(folder)
    with pytest.raises((AssertionError, SystemExit)):
        try_command(line)


def find_machines(address: str) -> tuple[list[str], str]:
    """Returns the commands for several machines, of which one has this address, and the addresses of all."""
    from began.distributed import Cluster
    from experiments import pretrain_librispeech

    lines = [line for path in DOCUMENTS for line in find_commands(path) if f"--workers {address}" in line]
    parsed = [pretrain_librispeech.make_parser().parse_args(shlex.split(line)[3:]) for line in lines]
    clusters = [Cluster.from_options(one.workers, one.worker_index, one.devices) for one in parsed]
    assert len(clusters) > 1 and [cluster.index for cluster in clusters] == list(range(clusters[0].n_workers))
    (workers,) = {one.workers for one in parsed}
    return lines, workers


def test_every_machine(tmp_path):
    """The commands for several machines, with addresses on this one; those through a tunnel differ in their addresses alone."""
    synthetic.write_librispeech(tmp_path / "LibriSpeech", n_speakers=2, n_utterances=2, seconds=1.5)
    lines, workers = find_machines("192.168.0.1")
    through_a_tunnel, others = find_machines("127.0.0.1")
    assert [line.replace(others, workers) for line in through_a_tunnel] == lines
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in lines]
    here = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    processes = []
    for number, line in enumerate(lines):
        machine = tmp_path / f"machine{number}"
        machine.mkdir()
        (machine / "data").symlink_to(tmp_path)
        words = shlex.split(line.replace(workers, here))
        processes.append(
            subprocess.Popen(
                [sys.executable, *words[1:], *_SMALL_NETWORKS],
                cwd=machine,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        )
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert (tmp_path / "machine0" / "my-results/pretrain_librispeech/began/encoder.keras").is_file()


def test_every_command_in_a_help_text_is_accepted():
    """The examples in the descriptions of the commands, where nothing is left out of them."""
    n_commands = 0
    for module, parser in find_parsers().items():
        for line in re.findall(rf"^ +python -m {re.escape(module)}\b(.*)$", parser.description, re.MULTILINE):
            if "…" not in line:
                parser.parse_args(shlex.split(line, comments=True))
                n_commands += 1
    assert n_commands >= 15

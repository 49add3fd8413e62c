"""The project as an installed package: what its wheel holds and needs, and that its programs run outside of a clone."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from documents import README, ROOT
from packaging.requirements import Requirement
from test_imports import MODULES
from test_readme import list_pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PUBLISHED = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]


def read_requirements() -> dict[str, Requirement]:
    """Returns all that the package and its extras ask for, by name; extras come first, for they may ask for more."""
    lists = [*PROJECT["project"]["optional-dependencies"].values(), PROJECT["project"]["dependencies"]]
    return {one.name: one for line in lists for one in map(Requirement, line)}


def test_requirements_allow_the_versions_that_are_tested():
    """And nothing that is pinned for use or for tests is forgotten."""
    pins = list_pins(ROOT / "requirements.txt", platform_machine="aarch64") | list_pins(ROOT / "requirements-extras.txt")
    required = read_requirements()
    assert set(required) == set(pins) - {
        "setuptools",  # TensorFlow's
        *("hatchling", "audformat", "hearvalidator"),  # tests of what others do with the package
    }
    for name, requirement in required.items():
        assert requirement.specifier.contains(pins[name].removeprefix("==")), requirement
        assert str(requirement.specifier).startswith("~="), f"{requirement}: a pin would not fit other people's environments"


def test_every_program_starts_a_command():
    for program, entry in PROJECT["project"]["scripts"].items():
        module, function = entry.split(":")
        assert program.startswith("began-") and module in MODULES
        assert callable(getattr(importlib.import_module(module), function))


def test_what_is_published_lies_where_the_package_looks_for_it():
    from began import published_networks
    from began.components import components_path

    files = (published_networks.ENCODER, components_path(published_networks.ENCODER), published_networks.MODEL)
    inside = {path.relative_to(ROOT).as_posix() for path in files}
    assert {source: f"began/{source}" for source in inside} == PUBLISHED
    assert all((ROOT / source).is_file() for source in inside)


@pytest.mark.parametrize("program", PROJECT["project"]["scripts"])
def test_a_program_bears_its_own_name(monkeypatch, capsys, program):
    module, function = PROJECT["project"]["scripts"][program].split(":")
    monkeypatch.setattr(sys, "argv", [f"/bin/{program}", "--help"])
    with pytest.raises(SystemExit, match="^0$"):
        getattr(importlib.import_module(module), function)()
    assert capsys.readouterr().out.startswith(f"usage: {program} ")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder with what the wheel holds, as an installation has it."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    # Through the source distribution, as `python -m build` does it: that must hold all that the wheel is made of.
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder], cwd=ROOT, check=True)
    (source,) = folder.glob("*.tar.gz")
    subprocess.run(["tar", "-xf", source, "-C", folder], check=True)
    cloned = folder / source.name.removesuffix(".tar.gz")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=cloned, check=True)
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 5_000_000
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.extras
def test_the_wheel_holds_the_code_and_the_published_networks(unpacked):
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    code = {path.relative_to(ROOT).as_posix() for path in MODULES.values()}
    others = {name for name in found - code if ".dist-info/" not in name}
    assert code <= found and others == {*PUBLISHED.values(), "experiments/reporting/page.html.j2"}
    for source, target in PUBLISHED.items():
        assert (ROOT / source).read_bytes() == (unpacked / target).read_bytes()


@pytest.mark.extras
def test_programs_find_the_published_networks_outside_of_a_clone(unpacked, tmp_path):
    from experiments.corpora.synthetic import synthesize_utterance

    soundfile = pytest.importorskip("soundfile")
    voice = synthesize_utterance("me", "F", "neutral", seconds=1.2, seed=0)
    soundfile.write(tmp_path / "recording.wav", voice, 16_000)
    outcome = run_program(unpacked, tmp_path, "began-predict", "recording.wav")
    assert outcome.returncode == 0 and re.match(r"recording\.wav  \w+ +\d+ %", outcome.stdout), outcome.stderr
    outcome = run_program(unpacked, tmp_path, "began-embed", "recording.wav", "--output", "features.npz")
    assert outcome.returncode == 0 and "1 row of 9600 features" in outcome.stderr


def run_program(packages, folder, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program as pip's own small script does, with the packages of one folder."""
    module, function = PROJECT["project"]["scripts"][program].split(":")
    code = f"import sys; sys.argv[0] = '/bin/{program}'; sys.path.insert(0, {str(packages)!r}); import {module} as command; "
    code += f"assert command.__file__.startswith({str(packages)!r}); sys.exit(command.{function}())"
    words = [sys.executable, "-I", "-c", code, *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True)


def test_what_is_to_be_cited_is_the_same_everywhere():
    """In CITATION.cff, in pyproject.toml and in the README's BibTeX."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert f"## {citation['version']}, " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    paper, bibtex = citation["preferred-citation"], README.read_text(encoding="utf-8").split("```bibtex")[1]
    shown = dict(re.findall(r"^  (\w+) += \{(.*)\}", bibtex, re.MULTILINE))
    assert {name: str(paper[name]) for name in ("title", "volume", "year", "doi")}.items() <= shown.items()
    assert shown["author"] == " and ".join(f"{one['given-names']} {one['family-names']}" for one in paper["authors"])

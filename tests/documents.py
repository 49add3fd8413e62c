"""README, CONTRIBUTING and docs/ as tests see them: commands, code blocks, options, and the parsers of all commands."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
"""In the order in which a newcomer reads them."""

RESULTS = re.compile(r"<!-- results:begin -->.*<!-- results:end -->", re.DOTALL)
"""The part of the README that `make tables` writes."""

_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_PROGRAMS = r"(?:began-\w+|python3?|pip|make|source|tensorboard|cat|git|cd|sudo|apt|curl|wget|jupyter|ffmpeg|\.venv/\S+)\s"


def find_blocks(path: Path, language: str) -> list[str]:
    """Returns the code blocks of a document in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def find_spans(path: Path) -> list[str]:
    """Returns what stands between backquotes in the text, outside of code blocks and of rendered results."""
    text = _FENCE.sub("", RESULTS.sub("", path.read_text(encoding="utf-8")))
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text)]


def find_commands(path: Path) -> list[str]:
    """Returns the commands of the shell blocks, then those within the text, each once and in their order, without comments."""
    lines = [re.sub(r"(^|\s+)#.*", "", line) for block in find_blocks(path, "bash") for line in block.splitlines()]
    lines += [span for span in find_spans(path) if re.match(_PROGRAMS, span)]
    return list(dict.fromkeys(line for line in lines if line.strip()))


def find_parsers() -> dict[str, argparse.ArgumentParser]:
    """Returns the parser of every command of the project, by the name that `python -m` takes."""
    parsers = {}
    for folder in ("began", "classifiers", "experiments"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if re.search(r"^def make_parser\(", path.read_text(encoding="utf-8"), re.MULTILINE):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                parsers[module.removesuffix(".__main__")] = importlib.import_module(module).make_parser()
    return parsers

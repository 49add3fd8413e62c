"""Executed notebooks as one linked HTML report that opens from disk, without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from began.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode


def render_html(notebooks: Mapping[Path, NotebookNode], out_dir: str | os.PathLike) -> Path:
    """Writes executed notebooks as linked pages with a contents page, and returns the contents page.

    Pictures and sounds are embedded, so that the folder can be moved or sent.  Code is folded away.

    Args:
        notebooks: path -> executed notebook, in the order of the pages.
        out_dir: gets ``index.html`` and a page a notebook.
    """
    import jinja2
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic",
        template_file="cells.html.j2",
        embed_images=True,
        extra_loaders=[jinja2.DictLoader({"cells.html.j2": _CELLS})],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    pages = []
    for path, notebook in notebooks.items():
        title, lead = find_title(notebook, path.stem)
        cells, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"path": str(path.parent)}})
        # A score and its deviation stay on one line.
        cells = cells.replace(" ± ", "\u00a0±\u00a0")
        pages.append({"file": f"{path.stem}.html", "title": title, "lead": lead, "cells": cells})
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, loader=jinja2.DictLoader({"base": _BASE, "page": _PAGE, "contents": _CONTENTS})
    )
    for number, page in enumerate(pages):
        text = environment.get_template("page").render(
            page=page, before=pages[number - 1] if number else None, after=next(iter(pages[number + 1 :]), None)
        )
        write_text(Path(out_dir) / page["file"], text)
    index = Path(out_dir) / "index.html"
    write_text(index, environment.get_template("contents").render(pages=pages))
    return index


def find_title(notebook: Mapping, fallback: str) -> tuple[str, str]:
    """Returns the first heading of a notebook and the paragraph below it, as plain text."""
    for cell in notebook["cells"]:
        heading = re.search(r"^#\s+(.+)$", cell["source"], re.MULTILINE) if cell["cell_type"] == "markdown" else None
        if heading:
            following = cell["source"][heading.end() :].strip().split("\n\n")[0]
            lead = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`]", lambda match: match[1] or "", following)
            return heading[1].strip(), "" if lead.startswith(("#", "|", "-")) else " ".join(lead.split())
    return fallback.replace("_", " "), ""


_CELLS = """
{%- extends 'basic/index.html.j2' -%}
{% block input %}
<details class="code"><summary>code</summary>
{{ cell.source | highlight_code(metadata=cell.metadata) | clean_html }}
</details>
{% endblock input %}
"""

_BASE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% block title %}Semi-supervised speech emotion recognition: report{% endblock %}</title>
<style>
body { font: 16px/1.55 system-ui, "Segoe UI", "Liberation Sans", sans-serif; color: #222; margin: 0; }
main { max-width: 66em; margin: 2em auto 4em; padding: 0 1.2em; }
h1 { font-size: 1.8em; line-height: 1.25; margin: 1em 0 .5em; }
h2 { font-size: 1.35em; margin: 2em 0 .4em; padding-top: .7em; border-top: 1px solid #ddd; }
h3 { font-size: 1.1em; margin: 1.6em 0 .3em; }
p, ul { max-width: 46em; }
a { color: #0072b2; }
nav { display: flex; flex-wrap: wrap; gap: .3em 1.6em; padding: .7em 1.2em; background: #f6f7f8; font-size: .95em; }
nav a { text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
nav a[aria-current] { color: #222; font-weight: 600; }
ol.contents { padding: 0; list-style: none; }
ol.contents li { margin: 0 0 1.1em; }
ol.contents a { font-weight: 600; }
ol.contents p { margin: .2em 0; color: #555; }
table { border-collapse: collapse; margin: .8em 0 1.2em; font-size: .9em; font-variant-numeric: tabular-nums; border: 0; }
th, td { padding: .3em .7em; text-align: left; vertical-align: top; border: 0; border-bottom: 1px solid #e3e3e3; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
.cell, .output_area { overflow-x: auto; }
img { max-width: 100%; height: auto; }
audio { height: 2.2em; width: 13em; vertical-align: middle; }
pre, code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .88em; }
code { background: #f3f4f5; padding: .08em .3em; border-radius: 3px; white-space: nowrap; }
pre { overflow-x: auto; margin: .5em 0; }
pre code { background: none; padding: 0; white-space: inherit; }
details.code { margin: .8em 0 .3em; color: #666; font-size: .9em; }
details.code summary { cursor: pointer; }
details.code pre { background: #f6f7f8; padding: .7em .9em; color: #222; }
.highlight .k, .highlight .kn, .highlight .ow { color: #8a1c7c; }
.highlight .s1, .highlight .s2, .highlight .sa { color: #00694c; }
.highlight .c1 { color: #666; font-style: italic; }
.highlight .mi, .highlight .mf { color: #0059a8; }
</style>
</head>
<body>
{% block body %}{% endblock %}
</body>
</html>
"""

_PAGE = """{% extends "base" %}
{% block title %}{{ page.title }}{% endblock %}
{% macro links() %}
<nav>
<a href="index.html">Contents</a>
{% if before %}<a href="{{ before.file }}">← {{ before.title }}</a>{% endif %}
{% if after %}<a href="{{ after.file }}">{{ after.title }} →</a>{% endif %}
</nav>
{% endmacro %}
{% block body %}
{{ links() }}
<main>
{{ page.cells | safe }}
</main>
{{ links() }}
{% endblock %}
"""

_CONTENTS = """{% extends "base" %}
{% block body %}
<main>
<h1>Semi-supervised speech emotion recognition</h1>
<p>A reproduction of Pereira et al. (ICANN 2018): a BEGAN trained on unlabelled speech, its encoder frozen, small heads
for emotion on top. These pages show the project's notebooks, executed on its results.</p>
<ol class="contents">
{% for page in pages %}
<li><a href="{{ page.file }}">{{ page.title }}</a>{% if page.lead %}<p>{{ page.lead }}</p>{% endif %}</li>
{% endfor %}
</ol>
</main>
{% endblock %}
"""

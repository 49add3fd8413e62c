"""What makes commands cheap where a test is about something else than what a long training or many copies give."""

from __future__ import annotations

import pytest


def shorten_heads(patch: pytest.MonkeyPatch) -> None:
    """Searched heads on whole utterances take five steps, not a thousand: what is given goes before what a search draws."""
    from experiments.evaluation.condition import Condition

    given = Condition.given.fget
    patch.setattr(Condition, "given", property(lambda condition: {**given(condition), "n_steps": 5}))


def make_few_copies(patch: pytest.MonkeyPatch) -> None:
    """An utterance gets three copies in place of twenty."""
    from experiments.evaluation import data, final_model

    for module in (data, final_model):
        patch.setattr(module, "SPEEDS", (1.0, 0.9))
    patch.setattr(data, "ALTERED_SPEEDS", (1.1,))


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Tables come without their pictures, of which every command would draw all."""
    from experiments.reporting import render

    patch.setattr(render, "draw_figures", lambda *arguments: [])

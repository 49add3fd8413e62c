"""From run folders to what is read: results -> tables -> cells -> markdown, readme; and the notebooks' tables and pages.

``errors``, ``search``, ``pretraining`` and ``corpora`` prepare what the notebooks show, ``execution`` executes them, ``html``
turns them into pages.
"""

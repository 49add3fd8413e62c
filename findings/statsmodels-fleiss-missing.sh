#!/bin/bash
# statsmodels takes a missing rating for one more emotion: Fleiss' kappa of full agreement is 0.06, that of guesses 0.25.
#
# Versions: statsmodels 0.15.0, krippendorff 0.9.0, numpy 2.4.6, scipy 1.17.1, pandas 3.1.1.
# Behaviour: aggregate_raters turns a table of utterances and raters into counts for fleiss_kappa. It takes every value that
# occurs for a category, NaN too, where a rater did not hear an utterance; only the second thing that it returns tells. Where
# each utterance has a few of many raters, most pairs of cells in a row are NaN twice or NaN and a label: kappa goes to zero,
# whatever the raters said. Where some utterances got more ratings than others, NaN next to NaN counts as agreement: kappa rises
# for labels by chance. Without NaN, fleiss_kappa refuses counts that differ from row to row; with NaN they are all the same.
# No message tells. Krippendorff's alpha, for which a table may have gaps, is right.
# Input: 400 utterances with one of four emotions, from raters who all agree, and from raters who all guess.
# Output, on Linux (x86-64): the six lines in `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet statsmodels==0.15.0 krippendorff==0.9.0 numpy==2.4.6 scipy==1.17.1 pandas==3.1.1
cat >"$folder/show.py" <<'PYTHON'
import krippendorff
import numpy as np
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

random = np.random.default_rng(0)
for raters, ratings in ((5, "5"), (20, "5"), (10, "10 or 2")):
    for agree in (True, False):
        table = np.full((400, raters), np.nan)
        for row, utterance in enumerate(table):
            number = int(ratings.split(" or ")[-row % 2]) if "or" in ratings else int(ratings)
            labels = row // 2 % 4 if agree else random.integers(0, 4, number)
            utterance[random.choice(raters, number, replace=False)] = labels
        kappa = fleiss_kappa(aggregate_raters(table)[0])
        alpha = krippendorff.alpha(table.T, level_of_measurement="nominal")
        case = f"{ratings} ratings by {raters} raters who {'agree' if agree else 'guess'}"
        print(f"{case}: Fleiss' kappa {kappa:.2f}, Krippendorff's alpha {round(alpha, 1) + 0:.1f}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="5 ratings by 5 raters who agree: Fleiss' kappa 1.00, Krippendorff's alpha 1.0
5 ratings by 5 raters who guess: Fleiss' kappa -0.01, Krippendorff's alpha 0.0
5 ratings by 20 raters who agree: Fleiss' kappa 0.06, Krippendorff's alpha 1.0
5 ratings by 20 raters who guess: Fleiss' kappa -0.03, Krippendorff's alpha 0.0
10 or 2 ratings by 10 raters who agree: Fleiss' kappa 0.76, Krippendorff's alpha 1.0
10 or 2 ratings by 10 raters who guess: Fleiss' kappa 0.25, Krippendorff's alpha 0.0"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }

#!/bin/bash
# scikit-learn's weighted kappa of two raters takes 2 and 5 for neighbours if nobody gave a 3 or a 4.
#
# Versions: scikit-learn 1.9.1, numpy 2.4.6.
# Behaviour: cohen_kappa_score(weights="linear" or "quadratic") weighs a disagreement by how far apart the two ratings stand in
# the sorted list of those that occur, not by how far apart their values are. Where a level of the scale was not used, as in a
# small sample or by raters who avoid it, the levels around it become neighbours and the agreement changes, without a message.
# One more utterance that both give the missing level changes that of all others. Levels that are words stand in alphabetical
# order: "high" next to "low", "medium" last. labels=, with the whole scale in its order, gives what is meant.
# Input: twelve utterances whose arousal two raters gave on a scale from 1 to 5, and as words.
# Output, on Linux (x86-64): the ten lines in `expected` below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import numpy as np
from sklearn.metrics import cohen_kappa_score

first = np.array([1, 1, 1, 2, 2, 2, 2, 5, 5, 5, 1, 2])
second = np.array([1, 1, 2, 2, 2, 2, 5, 5, 5, 2, 1, 2])
words = np.array(["", "low", "medium", "", "", "high"])
for weights, power in (("linear", 1), ("quadratic", 2)):
    by_chance = abs(first[:, None] - second) ** power
    by_definition = 1 - np.mean(abs(first - second) ** power) / np.mean(by_chance)
    print(f"{weights}, by the values of the ratings: {by_definition:.3f}")
    print(f"{weights}, cohen_kappa_score: {cohen_kappa_score(first, second, weights=weights):.3f}")
    print(f"{weights}, with labels=[1, …, 5]: {cohen_kappa_score(first, second, weights=weights, labels=range(1, 6)):.3f}")
    scaled = [np.where(ratings == 5, 3, ratings) for ratings in (first, second)]
    print(f"{weights}, with 3 in place of every 5: {cohen_kappa_score(*scaled, weights=weights):.3f}")
    print(f"{weights}, low, medium, high: {cohen_kappa_score(words[first], words[second], weights=weights):.3f}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="linear, by the values of the ratings: 0.622
linear, cohen_kappa_score: 0.684
linear, with labels=[1, …, 5]: 0.622
linear, with 3 in place of every 5: 0.684
linear, low, medium, high: 0.524
quadratic, by the values of the ratings: 0.661
quadratic, cohen_kappa_score: 0.769
quadratic, with labels=[1, …, 5]: 0.661
quadratic, with 3 in place of every 5: 0.769
quadratic, low, medium, high: 0.438"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }

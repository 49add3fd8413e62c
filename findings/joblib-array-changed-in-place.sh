#!/bin/bash
# Workers that joblib keeps between two calls go on seeing the old content of an array that was changed, if it is over 1 MB.
#
# Versions: joblib 1.6.0, numpy 2.4.6.
# Behaviour: `with Parallel(n_jobs=2) as parallel:` keeps its workers from call to call. An array of more than 1 MB (max_nbytes) is
# written to a file once, which the workers map; a smaller one is sent with every task. joblib knows the large array again by
# its identity and does not look whether its content is still the same: what is written into it between two calls, as in
# `features -= features.mean(axis=0)`, reaches no worker. There is no message. The same code is right for a small corpus, with
# n_jobs=1, with threads, with max_nbytes=None, and with a Parallel of its own for each call.
# Input: a table of 88 features for 1000 and for 2000 utterances, 0.7 and 1.4 MB, all 5, that is centred in place.
# Output, on Linux (x86-64): the eight lines in `expected` below: the mean that two tasks see, before and after.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet joblib==1.6.0 numpy==2.4.6
cat >"$folder/show.py" <<'PYTHON'
import numpy as np
from joblib import Parallel, delayed


def see(parallel, features):
    return " and ".join(f"{mean:.1f}" for mean in parallel(delayed(np.mean)(features) for _ in range(2)))


for n_utterances in (1000, 2000):
    for options in ({}, {"max_nbytes": None}, {"n_jobs": 1}):
        with Parallel(**{"n_jobs": 2, **options}) as parallel:
            features = np.full((n_utterances, 88), 5.0)
            before = see(parallel, features)
            features -= features.mean(axis=0)
            print(f"{n_utterances} utterances, {options or 'by default'}: {before} before, {see(parallel, features)} after")
    features = np.full((n_utterances, 88), 5.0)
    before = see(Parallel(n_jobs=2), features)
    features -= features.mean(axis=0)
    print(f"{n_utterances} utterances, two of Parallel: {before} before, {see(Parallel(n_jobs=2), features)} after")
PYTHON
found=$("$folder/venv/bin/python" "$folder/show.py" 2>/dev/null)
expected="1000 utterances, by default: 5.0 and 5.0 before, 0.0 and 0.0 after
1000 utterances, {'max_nbytes': None}: 5.0 and 5.0 before, 0.0 and 0.0 after
1000 utterances, {'n_jobs': 1}: 5.0 and 5.0 before, 0.0 and 0.0 after
1000 utterances, two of Parallel: 5.0 and 5.0 before, 0.0 and 0.0 after
2000 utterances, by default: 5.0 and 5.0 before, 5.0 and 5.0 after
2000 utterances, {'max_nbytes': None}: 5.0 and 5.0 before, 0.0 and 0.0 after
2000 utterances, {'n_jobs': 1}: 5.0 and 5.0 before, 0.0 and 0.0 after
2000 utterances, two of Parallel: 5.0 and 5.0 before, 0.0 and 0.0 after"
echo "$found"
[ "$found" = "$expected" ] || { echo "This differs from what was found: the behaviour has changed." >&2; exit 1; }

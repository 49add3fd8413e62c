"""Top floor: corpora, protocols and one script for each table of the paper."""

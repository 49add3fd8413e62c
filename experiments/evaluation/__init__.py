"""From a condition's record to its run folders: settings, data, splits, methods, scores."""

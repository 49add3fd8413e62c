"""The experiments: every file here is a command, one for each table of the paper among them; folders hold what they share."""

"""First floor: supervised heads on the frozen representation."""

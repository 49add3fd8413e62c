"""General speech representation: audio, spectrograms, the BEGAN and its frozen encoder (paper, sections 2.1 and 2.3)."""

"""Supervised heads on the frozen representation, and the predictor that both make together."""

"""Supervised heads on the frozen representation, and predictors made of both."""

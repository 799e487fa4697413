"""Proof that the rules detect, and make no noise: ``make mutate``.

Every mutant is one edit of the sources of the real overlays, made in a scratch copy and validated.
"""

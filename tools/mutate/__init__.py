"""Proof that the rules detect, and make no noise: ``make mutate``.

Every mutant is one edit of the sources of the real overlays, made in a scratch copy and judged there.
The flow: :mod:`sources` reads them, :mod:`breaking` and :mod:`harmless` make mutants of them, :mod:`trial`
judges each, :mod:`survivors` knows why some are not found, and :mod:`report` says what came of it.
"""

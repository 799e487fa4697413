"""Stands in for BinderHub where its image cannot be had.

Answers BinderHub's HTTP API (api-only) as the commit does that :mod:`validate.binderhub` models, and makes
the pod that it predicts. It has BinderHub's name, and its modules have the names of BinderHub's, because a
configuration names classes by them. README.md says what it does not do.
"""

from validate.binderhub.traits import TraitSchema

MODELLED = TraitSchema.load().version
VERSION = f"stand-in of binderhub-service, modelled on BinderHub {MODELLED}"

"""Kustomize: the tree that an overlay reads, rendering it, and who wrote each field."""

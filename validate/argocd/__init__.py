"""Argo CD: applications, and what they sync."""

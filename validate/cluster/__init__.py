"""Kubernetes: objects, references, selectors, scheduling, RBAC, schemas, admission."""

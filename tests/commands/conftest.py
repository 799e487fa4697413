"""A repository with one unpinned image, which somebody may answer for, and one warning."""

from __future__ import annotations

import pytest

from validate.cli import main

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: binder
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: docker.io/library/nginx:1.29
"""
FILES = {
    "overlays/kind/kustomization.yaml": "resources: [deployment.yaml]\n",
    "overlays/kind/deployment.yaml": DEPLOYMENT,
}


@pytest.fixture
def run(repository, monkeypatch, capsys):
    """Return a function that runs ``validate`` in that repository: its status and both streams."""

    def call(*arguments, files=None):
        monkeypatch.chdir(repository(FILES if files is None else files))
        capsys.readouterr()
        return main(arguments), *capsys.readouterr()

    return call

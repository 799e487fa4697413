"""Git repositories in the cluster, for builds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.kube import Kube

NAMESPACE = "e2e"
# What every Dockerfile of the tests begins with. The user is the one that repo2docker asks for.
BASE = "registry.binderhub.svc:5000/base:1"
DEMO = {
    "Dockerfile": f"""\
FROM {BASE}
ARG NB_USER=jovyan
ARG NB_UID=1000
RUN useradd --create-home --uid "$NB_UID" "$NB_USER"
COPY hello.txt /home/jovyan/hello.txt
WORKDIR /home/jovyan
USER ${{NB_UID}}
CMD ["python3", "-m", "http.server", "8888"]
""",
    "hello.txt": "hello from the built image\n",
}


@dataclass(frozen=True)
class Repository:
    """A repository on the git server, and its newest commit."""

    url: str
    commit: str


class Repositories:
    """The git server of the cluster."""

    def __init__(self, kube: Kube) -> None:
        """Use the server that ``services/`` describes."""
        self._kube = kube

    def commit(self, name: str, files: Mapping[str, str], *, branch: str = "main") -> Repository:
        """Commit ``files``, and nothing else, to a branch of a repository; it is made where there is none."""
        pod = self._kube.the_pod(NAMESPACE, "app=git")
        command = ("python3", "/files/commit.py", name, branch)
        commit = self._kube.run_in(pod, *command, container="git", stdin=json.dumps(dict(files))).strip()
        return Repository(f"git://git.e2e.svc/{name}.git", commit)


def dockerfile(*lines: str) -> dict[str, str]:
    """Return the files of a repository that is a Dockerfile with these lines after its ``FROM``."""
    return {"Dockerfile": "\n".join([f"FROM {BASE}", *lines, ""])}

"""Rendered objects for tests: a Deployment, and ConfigMaps of which each entry is a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from validate.binderhub.config import BinderHubConfig, find_config
from validate.cluster.objects import KubeObject
from validate.place import Origin, Writer

if TYPE_CHECKING:
    from validate.place import Path

DIRECTORY = "/etc/binderhub/config.d"


def rendered(kind: str, name: str, namespace: str = "binder", **fields: Any) -> KubeObject:
    """Return an object of ``<kind>.yaml``, the entries of its ``data`` in files of their own."""

    def writers(path: Path) -> tuple[Origin, ...]:
        if path[:1] == ("data",) and len(path) > 1:
            return (Origin(f"config/{path[1]}", 1, 1, Writer.GENERATOR, 1),)
        return (Origin(f"{kind.lower()}.yaml", 1 + len(path), 1, Writer.RESOURCE, 1 + len(path)),)

    value = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}
    return KubeObject(value, writers)


def deployment(container: dict[str, Any], volumes: list[Any], namespace: str = "binder") -> KubeObject:
    """Return a Deployment of one container."""
    spec = {"containers": [{"name": "binder", **container}], "volumes": volumes}
    return rendered("Deployment", "binder", namespace, spec={"template": {"spec": spec}})


def find(objects: list[KubeObject]) -> BinderHubConfig | None:
    """Return the configuration of the Deployment, which is the first of the objects."""
    pod = objects[0].pod
    assert pod is not None
    return find_config(objects, pod, next(iter(pod.containers)))


def config_of(fragments: dict[str, str], env: dict[str, str] | None = None) -> BinderHubConfig:
    """Return the configuration that these fragments make, as ``config/<name>``."""
    container = {
        "args": ["--config", "/etc/binderhub/loader/binderhub_config.py"],
        "env": [{"name": name, "value": value} for name, value in (env or {}).items()],
        "volumeMounts": [{"name": "config", "mountPath": DIRECTORY}],
    }
    volumes = [{"name": "config", "configMap": {"name": "fragments"}}]
    config = find([deployment(container, volumes), rendered("ConfigMap", "fragments", data=fragments)])
    assert config is not None
    return config

"""The Kubernetes API, as BinderHub calls it."""

from __future__ import annotations

from kubernetes import client, config

# Seconds to connect, seconds between two bytes.
TIMEOUT = (3, 30)
# A build may say nothing for as long as it likes.
LOG_TIMEOUT = (3, None)


def load_api() -> client.CoreV1Api:
    """Return the API of the cluster that this runs in, else that of the current kubeconfig.

    Raises:
        ConfigException: there is neither.
    """
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()
    return client.CoreV1Api()

"""How many servers of users there may be; where there are too many, nothing is built either."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from binderhub.kube import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from kubernetes.client import CoreV1Api

    from binderhub.configuration import Configuration
    from binderhub.repoproviders import RepoProvider

USER_PODS = "app=jupyterhub,component=singleuser-server"


class LaunchQuotaExceededError(Exception):
    """There are too many servers; ``status`` is what metrics call it."""

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class LaunchQuota:
    """No quota."""

    def __init__(
        self, configuration: Configuration, api: Callable[[], CoreV1Api], executor: Executor
    ) -> None:
        self._configuration = configuration
        self._api = api
        self._executor = executor

    @property
    def total(self) -> int | None:
        """How many servers there may be in all, None for as many as will."""
        quota: int | None = self._configuration.get(type(self).__name__, "total_quota")
        return quota

    async def check(self, provider: RepoProvider, image: str) -> None:
        """Let a build or launch pass.

        Raises:
            LaunchQuotaExceededError: never.
        """


class KubernetesLaunchQuota(LaunchQuota):
    """Counts the pods of users, if there is a quota at all."""

    async def check(self, provider: RepoProvider, image: str) -> None:
        """Let a build or launch pass.

        Raises:
            LaunchQuotaExceededError: there are too many servers in all, or of this repository.
            ApiException: the API server does not tell.
        """
        of_repository = _quota_of(provider, self._configuration)
        if self.total is None and not of_repository:
            return
        pods = await asyncio.wrap_future(self._executor.submit(self._user_pods))
        if self.total is not None and len(pods) >= self.total:
            raise LaunchQuotaExceededError("Too many users on this BinderHub! Try again soon.", "pod_quota")
        same = [pod for pod in pods if _without_tag(image) in map(_without_tag, _images(pod))]
        if of_repository and len(same) >= of_repository:
            raise LaunchQuotaExceededError(
                f"Too many users running {provider.repo}! Try again soon.", "repo_quota"
            )

    def _user_pods(self) -> list[dict[str, Any]]:
        response = self._api().list_namespaced_pod(
            self._configuration.namespaces.quota,
            label_selector=USER_PODS,
            _request_timeout=TIMEOUT,
            _preload_content=False,
        )
        pods: list[dict[str, Any]] = json.loads(response.data)["items"]
        return pods


def _quota_of(provider: RepoProvider, configuration: Configuration) -> int:
    """Return how many servers of this repository there may be, 0 for as many as will."""
    is_higher = provider.matches("high_quota_specs")
    quota = configuration.app("per_repo_quota_higher" if is_higher else "per_repo_quota")
    for item in provider.trait("spec_config"):
        pattern, config = item.get("pattern"), item.get("config")
        for name, value, kind in (("pattern", pattern, str), ("config", config, dict)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} in spec_config is a {type(value).__name__}")
        if re.match(pattern, provider.spec, re.IGNORECASE):
            quota = config.get("quota", quota)
    return int(quota or 0)


def _images(pod: dict[str, Any]) -> list[str]:
    return [container["image"] for container in pod["spec"]["containers"]]


def _without_tag(image: str) -> str:
    return image.rsplit(":", 1)[0]

"""A build that goes well: what the client reads, and what the API server and the registry are asked."""

from __future__ import annotations

from tests.e2e.streams import Ending
from tests.standin.conftest import IMAGE, REF, REPO

NAME = "build-git-3a-2f-2fgit-2ebinder-2esvc-2fdemo-2egit-5ad678-507-e6"
PODS = "/api/v1/namespaces/binder/pods"
CLONING = '{"message": "Cloning...\\n", "phase": "fetching"}\n'


def test_a_build_is_waited_for_followed_and_reported(standin, cluster) -> None:
    stream = standin.build()
    pod = cluster.created()
    pod.becomes("Running")
    pod.says(CLONING)
    for item in stream:
        if item.phase == "fetching":
            pod.ends("Succeeded")
    kept = stream.transcript()
    assert (kept.status, kept.content_type, kept.ending) == (200, "text/event-stream", Ending.CLOSED)
    assert [event.data for event in kept.events] == [
        {"phase": "waiting", "message": "Waiting for build to start...\n"},
        {"message": "Cloning...\n", "phase": "fetching"},
        {"phase": "ready", "message": "Done! Image built\n", "imageName": IMAGE},
    ]
    assert cluster.calls == [
        f"GET {PODS}?labelSelector=component=image-builder,app=binder",
        f"POST {PODS}",
        f"GET {PODS}?labelSelector=name={NAME}&timeoutSeconds=30&watch=True",
        f"GET {PODS}/{NAME}/log?follow=True&tailLines=100",
        f"DELETE {PODS}/{NAME}",
    ]
    created, deleted = cluster.bodies
    assert created == POD
    assert deleted == {"gracePeriodSeconds": 0}


POD = {
    "metadata": {
        "name": NAME,
        "labels": {"name": NAME, "component": "binderhub-build"},
        "annotations": {"binder-repo": REPO},
    },
    "spec": {
        "restartPolicy": "Never",
        "nodeSelector": {},
        "tolerations": [
            {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
            for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
        ],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": {"component": "binderhub-build"}},
                        },
                    }
                ]
            }
        },
        "imagePullSecrets": [],
        "volumes": [
            {"name": "docker-socket", "hostPath": {"path": "/var/run/docker.sock", "type": "Socket"}},
            {"name": "docker-config", "secret": {"secretName": "binder-build-docker-config"}},
        ],
        "containers": [
            {
                "name": "builder",
                "image": "quay.io/jupyterhub/repo2docker:2024.07.0",
                "args": [
                    *["jupyter-repo2docker", f"--ref={REF}", f"--image={IMAGE}", "--no-clean", "--no-run"],
                    *["--json-logs", "--user-name=jovyan", "--user-id=1000", "--push", REPO],
                ],
                "env": [],
                "resources": {"limits": {}, "requests": {}},
                "volumeMounts": [
                    {"name": "docker-socket", "mountPath": "/var/run/docker.sock"},
                    {
                        "name": "docker-config",
                        "mountPath": "/root/.docker/config.json",
                        "subPath": "config.json",
                    },
                ],
            }
        ],
    },
}

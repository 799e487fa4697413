"""What happens on the cluster, one change each, in a small overlay."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.diff.conftest import IDENTITY
from validate.cli import main

WEB = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: binder}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {pool: core}
      initContainers:
        - {name: before, image: docker.io/library/busybox:1}
      containers:
        - name: web
          image: docker.io/library/nginx:1
          envFrom: [{configMapRef: {name: variables}}]
          volumeMounts:
            - {name: files, mountPath: /files}
            - {name: one, mountPath: /one, subPath: one}
          securityContext: {privileged: false}
      volumes:
        - {name: files, configMap: {name: files}}
        - {name: one, configMap: {name: one}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: binder
  annotations: {example.org/note: none}
spec: {clusterIP: 10.0.0.10, selector: {app: web}, ports: [{port: 80}]}
"""
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  namespace: binder
  annotations: {example.org/note: none}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: binder
  labels: {pod-security.kubernetes.io/enforce: restricted}
"""
CLUSTER = """\
nodePools:
  - name: core
    labels: {pool: core}
  - name: large
    labels: {pool: large}
"""
JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: binder}
spec:
  schedule: "0 0 * * *"
  jobTemplate:
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: n, image: busybox:1}]}}}
"""


def config_map(name, value):
    metadata = f"metadata: {{name: {name}, namespace: binder}}"
    return f"apiVersion: v1\nkind: ConfigMap\n{metadata}\ndata: {{a: {value}}}\n"


FILES = {
    "web.yaml": WEB,
    "service.yaml": SERVICE,
    "claim.yaml": CLAIM,
    "namespace.yaml": NAMESPACE,
    "job.yaml": JOB,
    "variables.yaml": config_map("variables", "old"),
    "files.yaml": config_map("files", "old"),
    "one.yaml": config_map("one", "old"),
}
KEEP = "argocd.argoproj.io/sync-options: Prune=false"
REPLACE = 'argocd.argoproj.io/sync-options: "Replace=true,Force=true"'


@pytest.fixture
def happens(repository, capsys):
    """Return a function from edits (file, old, new) to kind, subject, sentence, grave, causes of each."""

    def tell(*edits, prepared=(), without=()):
        files = {f"overlays/kind/{name}": text for name, text in FILES.items()}
        files["overlays/kind/kustomization.yaml"] = "resources:\n" + "".join(
            f"  - {name}\n" for name in FILES
        )
        files["overlays/kind/cluster.yaml"] = CLUSTER
        root = repository(files)
        (root / "overlays/kind/configmap.yaml").unlink()

        def edit(file, old, new):
            path = root / "overlays/kind" / file
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new), encoding="utf-8")

        def git(*words):
            subprocess.run(
                ["git", *words], cwd=root, env=os.environ | IDENTITY, check=True, capture_output=True
            )

        for one in prepared:
            edit(*one)
        git("init", "--quiet")
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "all")
        for one in edits:
            edit(*one)
        for name in without:
            edit("kustomization.yaml", f"  - {name}\n", "")
        capsys.readouterr()
        main(["diff", "HEAD", "--root", str(root), "--report", "json"])
        output, errors = capsys.readouterr()
        assert errors == ""
        (overlay,) = json.loads(output)["overlays"]
        return [
            (
                one["kind"],
                one["subject"],
                one["sentence"],
                one["grave"],
                [
                    f"{cause['file'].removeprefix('overlays/kind/')}:{cause['line']}"
                    for cause in one["causes"]
                ],
            )
            for one in overlay["effects"]
        ]

    return tell


DEPLOYMENT = "Deployment binder/web"
RESTARTS = (
    "restarts",
    DEPLOYMENT,
    "replaces its pod as new ones become ready, and each has 30 s to end",
    False,
)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("variables", "keeps until it restarts the variables that it took from"),
        ("files", "sees within about a minute, without a restart, the new files of"),
        ("one", "keeps until it restarts the files (subPath) that it took from"),
    ],
)
def test_who_reads_what_has_no_hash_is_not_restarted(happens, name, sentence):
    told = happens((f"{name}.yaml", "old", "new"))
    assert told == [
        ("not restarted", DEPLOYMENT, f"{sentence} ConfigMap binder/{name}", False, [f"{name}.yaml:4"])
    ]


def test_a_pod_that_becomes_privileged_needs_another_level(happens):
    told = happens(("web.yaml", "privileged: false", "privileged: true"))
    assert told == [
        (
            "pod security",
            DEPLOYMENT,
            "needs the level privileged now, after baseline: container web is privileged",
            True,
            ["web.yaml:19"],
        ),
        (*RESTARTS, ["web.yaml:19"]),
    ]


def test_a_namespace_that_enforces_less(happens):
    told = happens(("namespace.yaml", "restricted", "baseline"))
    sentence = "enforces the level baseline now, after restricted"
    assert told == [("pod security", "Namespace binder", sentence, True, ["namespace.yaml:5"])]
    assert happens(("namespace.yaml", "restricted", "restricted ")) == []


def test_a_pod_that_moves_to_another_pool(happens):
    told = happens(("web.yaml", "pool: core", "pool: large"))
    assert told == [
        ("nodes", DEPLOYMENT, "can run in large; before, in core", False, ["web.yaml:9"]),
        (*RESTARTS, ["web.yaml:9"]),
    ]
    assert happens(("web.yaml", "pool: core", "pool: none"))[0][2:4] == (
        "can run in no declared pool; before, in core",
        True,
    )


def test_a_pool_that_goes_takes_its_pods_with_it(happens):
    told = happens(("cluster.yaml", "labels: {pool: core}", "labels: {pool: other}"))
    assert told == [
        ("nodes", DEPLOYMENT, "can run in no declared pool; before, in core", True, ["cluster.yaml:3"])
    ]


def test_what_cannot_change_is_refused_unless_it_is_replaced(happens):
    edit = ("service.yaml", "10.0.0.10", "10.0.0.11")
    ((kind, subject, sentence, grave, causes),) = happens(edit)
    assert (kind, subject, grave, causes) == ("refused", "Service binder/web", True, ["service.yaml:7"])
    assert sentence.startswith("cannot change spec.clusterIP: the API server refuses it")
    replaced = ("service.yaml", "example.org/note: none", REPLACE)
    told = happens(edit, prepared=[replaced])
    expected = "is deleted and made anew, since spec.clusterIP cannot change"
    assert told == [("recreated", "Service binder/web", expected, True, ["service.yaml:7"])]


def test_what_goes_is_deleted_unless_it_is_kept(happens):
    told = happens(without=["claim.yaml"])
    sentence = "is deleted where somebody prunes (kubectl apply leaves it), and with it the data on it"
    claim = "PersistentVolumeClaim binder/data"
    assert told == [("deleted", claim, sentence, True, ["kustomization.yaml:4"])]
    told = happens(without=["claim.yaml"], prepared=[("claim.yaml", "example.org/note: none", KEEP)])
    assert [one[:4] for one in told] == [
        ("left behind", claim, "stays on the cluster, since it is annotated with Prune=false", False)
    ]


def test_an_image_is_told_with_every_container_that_runs_it(happens):
    told = happens(("web.yaml", "busybox:1", "busybox:2"), ("job.yaml", "busybox:1", "busybox:2"))
    assert [one[:3] for one in told] == [
        (
            "image",
            f"{DEPLOYMENT} (before)",
            "docker.io/library/busybox:1 becomes docker.io/library/busybox:2",
        ),
        ("image", "CronJob binder/nightly (n)", "busybox:1 becomes busybox:2"),
        RESTARTS[:3],
        ("not restarted", "CronJob binder/nightly", "has it in its next run"),
    ]


def test_a_label_of_an_object_makes_nothing_happen(happens):
    assert happens(("service.yaml", "example.org/note: none", "example.org/note: some")) == []

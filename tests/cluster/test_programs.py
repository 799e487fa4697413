"""What the programs of a container will not find: near misses."""

from __future__ import annotations

from textwrap import indent

import pytest

from validate.cluster.objects import KubeObject
from validate.cluster.programs import faults
from validate.source import compose

POD = """
apiVersion: v1
kind: Pod
metadata: {name: job, namespace: binder}
spec:
%s
  containers:
    - name: main
      image: example.org/main:1
%s
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: scripts, namespace: binder}
data:
  run.sh: |
    set -eu
    echo "$TARGET"
  settings.yaml: |
    ca: /etc/tls/ca.crt
"""
VOLUME = "volumes: [{name: scripts, configMap: {name: scripts%s}}]"
MOUNT = "volumeMounts: [{name: scripts, mountPath: /opt/scripts}]\n"


def problems(container, pod=""):
    text = POD % (indent(pod, "  "), indent(container, "      ")) + "---" + CONFIG
    objects = [KubeObject(field.plain(), field.writers_at) for field in compose(text, "pod.yaml")]
    return [fault.problem for fault in faults([item.pod for item in objects if item.pod], objects)]


def script(text, more=""):
    return f"command: [sh, -c, {text!r}]\n{more}"


@pytest.mark.parametrize(
    "text",
    [
        'set -u; echo "${TARGET:-none}"',
        'set -u; echo "${TARGET+set}"',
        "set -u; echo $$ $? $1 $HOME $KUBERNETES_SERVICE_HOST",
        r"set -u; echo \$TARGET",
        "set -u; TARGET=1; echo $TARGET",
        "set -u; for TARGET in a b; do echo $TARGET; done",
        "set -u; while read -r TARGET; do echo $TARGET; done",
        "set -u; # then $TARGET",
        "echo $TARGET",
    ],
)
def test_a_variable_that_the_shell_does_not_insist_on(text):
    assert not problems(script(text))


@pytest.mark.parametrize("text", ["set -eu; echo $TARGET", "set -o nounset\necho ${TARGET}"])
def test_a_variable_that_it_insists_on(text):
    assert problems(script(text)) == [
        "main of Pod binder/job ends where its program uses TARGET, which nothing sets"
    ]
    for environment in (
        "env: [{name: TARGET, value: a}]",
        "env: [{name: TARGET, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        "envFrom: [{configMapRef: {name: more}}]",
    ):
        assert not problems(script(text, environment))
    assert problems(script(text, 'env: [{name: TARGET, value: ""}]'))


def test_a_variable_of_a_mounted_script():
    run = 'command: ["/opt/scripts/run.sh"]\n' + MOUNT
    assert problems(run, VOLUME % "") == [
        "main of Pod binder/job runs /opt/scripts/run.sh, which is mounted and not executable"
    ]
    assert not problems(run, VOLUME % ", defaultMode: 0555")
    assert problems(run.replace('["', '[sh, "'), VOLUME % "") == [
        "main of Pod binder/job ends where its program uses TARGET, which nothing sets"
    ]


def test_python_insists_on_what_it_takes_by_index():
    assert problems("command: [python3, -c, \"import os; os.environ['TARGET']\"]")
    assert not problems("command: [python3, -c, \"import os; os.environ.get('TARGET')\"]")


def test_a_file_of_the_image_is_not_judged_and_one_that_is_mounted_elsewhere_is():
    assert not problems("command: [/usr/bin/tool, /etc/tool/tool.conf]\n" + MOUNT, VOLUME % "")
    (problem,) = problems("command: [/usr/bin/tool, /opt/run.sh]\n" + MOUNT, VOLUME % "")
    assert problem.endswith("run.sh of ConfigMap binder/scripts is mounted at /opt/scripts/run.sh")


@pytest.mark.parametrize(
    ("security", "mode", "readable"),
    [
        ("runAsUser: 1000", "0400", False),
        ("runAsUser: 1000", "0444", True),
        ("runAsUser: 1000, fsGroup: 1000", "0400", True),
        ("runAsUser: 0", "0400", True),
        ("runAsNonRoot: true", "0400", True),
    ],
)
def test_who_reads_a_file_of_root(security, mode, readable):
    pod = f"securityContext: {{{security}}}\n" + VOLUME % f", defaultMode: {mode}"
    assert bool(problems(MOUNT, pod)) is not readable


def test_a_container_that_runs_as_root_by_itself_reads_everything():
    pod = "securityContext: {runAsUser: 1000}\n" + VOLUME % ", defaultMode: 0400"
    assert problems(MOUNT, pod)
    assert not problems(MOUNT + "securityContext: {runAsUser: 0}", pod)


@pytest.mark.parametrize(
    ("told", "mounts", "writable"),
    [
        ("env: [{name: HOME, value: /home/main}]", "", False),
        ("env: [{name: HOME, value: /home/main}]", "{name: scratch, mountPath: /home}", True),
        ("env: [{name: HOME, value: /home/main}]", "{name: scratch, mountPath: /home/main/.cache}", True),
        ("env: [{name: HOME, value: /home/main}]", "{name: scratch, mountPath: /home/main-2}", False),
        ("env: [{name: SETTINGS, value: /home/main}]", "", True),
    ],
)
def test_where_a_program_keeps_its_files(told, mounts, writable):
    container = f"{told}\nsecurityContext: {{readOnlyRootFilesystem: true}}\nvolumeMounts: [{mounts}]\n"
    pod = "volumes: [{name: scratch, emptyDir: {}}]"
    assert bool(problems(container, pod)) is not writable
    assert not problems(container.replace("true", "false"), pod)


@pytest.mark.parametrize("words", ["[sleep]", "[sleep, 300-2]", '[/bin/sleep, "5", x]', '[sleep, "5 m"]'])
def test_a_pause_takes_a_time(words):
    (problem,) = problems(f"command: {words}")
    assert problem == "main of Pod binder/job runs sleep without a time that it takes"


@pytest.mark.parametrize("words", ['[sleep, "300"]', "[sleep, 1.5h]", "[sleep, 5m, 9s]", "[sleep, infinity]"])
def test_a_pause_of_a_program_lasts_as_long_as_it_likes(words):
    assert not problems(f"command: {words}")


@pytest.mark.parametrize(
    ("words", "grace", "said"),
    [
        ('[sleep, "31"]', 30, "31 s in preStop, and its pod has 30 s"),
        ('[sleep, "30"]', 30, None),
        ("[sleep, 5m]", 299, "300 s in preStop, and its pod has 299 s"),
        ("[sleep, 5m]", 300, None),
        ("[sleep, 200s, 2m]", 300, "320 s in preStop, and its pod has 300 s"),
        ("[sleep, infinity]", 300, "inf s in preStop, and its pod has 300 s"),
    ],
)
def test_a_pause_before_the_end_fits_into_the_time_for_it(words, grace, said):
    # 30 s are the default.
    pod = f"terminationGracePeriodSeconds: {grace}" if grace != 30 else ""
    found = problems(f"lifecycle: {{preStop: {{exec: {{command: {words}}}}}}}", pod)
    assert found == ([f"main of Pod binder/job waits {said} to end"] if said else [])


def test_a_number_is_no_program():
    (problem,) = problems('lifecycle: {preStop: {exec: {command: ["300"]}}}')
    assert problem == "main of Pod binder/job runs 300, which is no program"

"""No credential is in any report of a change, wherever it stands; what is none is shown."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from validate.diff.secrecy import hidden_lines
from validate.report.diff import FORMATS

# Of an alphabet that nothing else here has, and its base64.
OLD, NEW = "zqOLDxjqz77wq", "zqNEWxjqz88wq"
TRACES = [text for word in (OLD, NEW) for text in (word, b64encode(word.encode()).decode().rstrip("="))]

DEPLOYMENT = "base/binderhub/deployment.yaml"
FRAGMENT = "overlays/eks/config/50-eks.yaml"


def variable(clone, value):
    entry = f"          env:\n            - {{name: GITHUB_ACCESS_TOKEN, value: {value}}}\n"
    clone.edit(DEPLOYMENT, "          env:\n", entry)


def option(clone, value):
    clone.edit(DEPLOYMENT, "          args:\n", f"          args:\n            - --api-token={value}\n")


def option_with_its_value_after_it(clone, value):
    text = f"          args:\n            - --password\n            - {value}\n"
    clone.edit(DEPLOYMENT, "          args:\n", text)


def address(clone, value):
    entry = f"          env:\n            - {{name: HTTPS_PROXY, value: 'http://me:{value}@proxy:3128'}}\n"
    clone.edit(DEPLOYMENT, "          env:\n", entry)


def trait(clone, value):
    clone.write(FRAGMENT, f"GitHubRepoProvider:\n  access_token: {value}\n")


def text_of_several_lines(clone, value):
    clone.write(
        FRAGMENT, f"GitHubRepoProvider:\n  git_credentials: |-\n    username=x\n    password={value}\n"
    )


def secret(clone, value):
    clone.write(
        "overlays/eks/secret.yaml",
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: extra}}\nstringData: {{a: {value}}}\n",
    )
    clone.edit("overlays/eks/kustomization.yaml", "resources: [", "resources: [secret.yaml, ")


def generated_secret(clone, value):
    clone.write("overlays/eks/env.txt", f"anything={value}\n")
    clone.edit(
        "overlays/eks/kustomization.yaml",
        "configMapGenerator:\n",
        "secretGenerator:\n  - name: extra\n    envs: [env.txt]\nconfigMapGenerator:\n",
    )


def docker_configuration(clone, value):
    auth = b64encode(f"user:{value}".encode()).decode()
    content = json.dumps({"auths": {"https://example.org": {"auth": auth}}})
    clone.write(
        "overlays/eks/map.yaml",
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: extra}}\ndata: {{config.json: '{content}'}}\n",
    )
    clone.edit("overlays/eks/kustomization.yaml", "resources: [", "resources: [map.yaml, ")


def script(clone, value):
    clone.edit("components/image-cleaner/config/clean.sh", "\n", f"\nexport REGISTRY_PASSWORD={value}\n", 1)


def key(clone, value):
    text = f"-----BEGIN RSA PRIVATE KEY-----\n    {value}\n    {value}\n    -----END RSA PRIVATE KEY-----"
    clone.write(
        "overlays/eks/map.yaml",
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: extra}}\ndata:\n  key.pem: |\n    {text}\n",
    )
    clone.edit("overlays/eks/kustomization.yaml", "resources: [", "resources: [map.yaml, ")


def annotation(clone, value):
    clone.edit(
        DEPLOYMENT,
        "  annotations:\n",
        f"  annotations:\n    example.org/webhook: https://hook:{value}@example.org\n",
        1,
    )


PLACES = [
    variable,
    option,
    option_with_its_value_after_it,
    address,
    trait,
    text_of_several_lines,
    secret,
    generated_secret,
    docker_configuration,
    script,
    key,
    annotation,
]


@pytest.mark.parametrize("put", PLACES, ids=lambda put: put.__name__)
def test_a_credential_that_changes_is_in_no_report(put, lone_clone, tmp_path):
    clone = lone_clone
    untouched = {
        path: path.read_bytes()
        for path in clone.root.rglob("*")
        if path.is_file() and ".git" not in path.parts
    }
    put(clone, OLD)
    clone.commit("before")
    for path, content in untouched.items():
        path.write_bytes(content)
    put(clone, NEW)
    files = {name: tmp_path / f"report.{name}" for name in FORMATS}
    words = [word for name, file in files.items() for word in ("--report", f"{name}={file}")]
    clone.diff("HEAD", "--verbose", *words)
    reports = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    assert [(name, trace) for name, text in reports.items() for trace in TRACES if trace in text] == []
    document = json.loads(reports["json"])
    # That it changed is said all the same.
    assert any(overlay["objects"] for overlay in document["overlays"])


@pytest.mark.parametrize(
    "line",
    [
        "push_secret: registry-credentials",
        "secretName: tls",
        "automountServiceAccountToken: false",
        "docker_host: /run/docker.sock",
        "token_file: /run/token",
        "password: $(PASSWORD)",
        "password: {{ .password }}",
        "verbs: [create, delete]",
        "- --kubeconfig=/etc/kube",
        "https://example.org/path",
    ],
)
def test_what_is_no_credential_is_shown(line):
    assert hidden_lines([line]) == frozenset()


def test_a_word_of_any_length_is_looked_through_once():
    # Tried from each letter on, it would take minutes.
    word = "x" * 300_000
    assert hidden_lines([word]) == frozenset()
    assert hidden_lines([f"{word}://me:{OLD}@example.org"]) == {0}

"""What is known of a docker configuration that a secret store completes, and what is a credential."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from validate.binderhub.credentials import is_credential, read_docker_config
from validate.cluster.objects import KubeObject
from validate.place import Origin, Writer

ENTRY = {"auth": b64encode(b"user:not-a-password").decode()}


def an_object(kind, api_version="v1", **parts):
    value = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "push", "namespace": "binder"},
        **parts,
    }
    return KubeObject(value, lambda _: (Origin("file.yaml", 1, 1, Writer.RESOURCE),))


def a_template(text):
    spec = {"target": {"template": {"data": {"config.json": text}}}}
    return an_object("ExternalSecret", "external-secrets.io/v1", spec=spec)


def found(*objects):
    return read_docker_config(objects, "binder", "push")


def test_base64_may_be_broken_into_lines():
    text = b64encode(json.dumps({"auths": {"https://quay.io": ENTRY}}).encode()).decode()
    lines = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    assert found(an_object("Secret", data={"config.json": lines})).auths == {"https://quay.io": ENTRY}


def test_a_template_shows_its_registries_and_hides_what_it_fetches():
    config = found(a_template('{"auths": {"https://quay.io": {"auth": "{{ print .a ":" .b | b64enc }}"}}}'))
    assert list(config.auths) == ["https://quay.io"]
    assert ".a" not in str(config.auths)


@pytest.mark.parametrize(
    "text", ["{{ .config }}", '{"auths": {"{{ .host }}": {"auth": "x"}}}', '{{ range .x }}{"{{ end }}']
)
def test_a_template_that_leaves_the_registries_open_says_nothing(text):
    assert found(a_template(text)) is None


def test_what_sops_encrypted_says_nothing():
    secret = an_object(
        "Secret", stringData={"config.json": "ENC[AES256_GCM,data:xxxx]"}, sops={"version": "3.9.0"}
    )
    assert found(secret) is None


def test_text_that_is_no_json_is_a_problem():
    assert "JSON" in found(an_object("Secret", stringData={"config.json": "auths: {}"})).problem


def test_a_secret_without_the_key_is_a_problem():
    assert "does not hold" in found(an_object("Secret", data={"other": ""})).problem


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("GitHubRepoProvider", "access_token"), "x", True),
        (("GitHubRepoProvider", "access_token"), "", False),
        (("KubernetesBuildExecutor", "extra_envs", "PIP_TOKEN"), "x", True),
        (("KubernetesBuildExecutor", "extra_envs", "PIP_TOKEN_FILE"), "/run/x", False),
        (("KubernetesBuildExecutor", "extra_envs", "HTTP_PROXY"), "http://user:x@proxy.example", True),
        (("KubernetesBuildExecutor", "extra_envs", "HTTP_PROXY"), "http://proxy.example:3128", False),
        (("KubernetesBuildExecutor", "push_secret"), "registry-credentials", False),
        (("DockerRegistry", "token_url"), "https://quay.io/v2/auth", False),
    ],
)
def test_a_credential_is_known_by_its_name_or_by_an_address(path, value, expected):
    assert is_credential(path, value) is expected

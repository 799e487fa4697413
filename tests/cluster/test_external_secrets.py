"""What keeps the External Secrets Operator from making a Secret."""

from __future__ import annotations

from textwrap import dedent

import pytest

from validate.cluster.external_secrets import wants
from validate.cluster.objects import KubeObject
from validate.source import compose

STORE = """
    secretStoreRef: {kind: SecretStore, name: store}
    data:
      - secretKey: token
        remoteRef: {key: binderhub}
"""
GENERATOR = """
    dataFrom:
      - sourceRef:
          generatorRef: {kind: ECRAuthorizationToken, name: ecr}
"""


def sentences(spec, template=""):
    text = "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\n"
    text += "metadata: {name: push, namespace: binder}\nspec:\n" + dedent(spec).strip().replace("\n", "\n  ")
    text = text.replace("spec:\n", "spec:\n  ")
    if template:
        text += f"\n  target:\n    template:\n      data:\n        value: {template!r}\n"
    objects = [KubeObject(field.plain(), field.writers_at) for field in compose(text, "secret.yaml")]
    return [want.sentence for want in wants(objects)]


@pytest.mark.parametrize(
    "template",
    [
        "{{ .token }}",
        "{{- .token | b64enc -}}",
        '{{ printf "%s.other" .token }}',
        "{{ printf `.other` }}{{ .token }}",
        "no expression at all, .other",
        "{{ $other := .token }}{{ $other }}",
    ],
)
def test_what_is_fetched_may_be_used(template):
    assert not sentences(STORE, template)


@pytest.mark.parametrize("template", ["{{ .other }}", "{{ .token }}{{ .other | trim }}", "{{(.other)}}"])
def test_what_is_not_fetched_may_not(template):
    (sentence,) = sentences(STORE, template)
    assert sentence.startswith(
        "the template of ExternalSecret binder/push uses .other for value, and only token"
    )


def test_a_generator_gives_what_it_is_documented_to_give():
    assert not sentences(GENERATOR, "{{ .username }}:{{ .password }}@{{ .proxy_endpoint }}")
    (sentence,) = sentences(GENERATOR, "{{ .user }}")
    assert "only expires_at, password, proxy_endpoint, username is fetched" in sentence


@pytest.mark.parametrize(
    "source",
    [
        "dataFrom: [{extract: {key: binderhub}}]",
        "dataFrom: [{sourceRef: {generatorRef: {kind: Fake, name: fake}}}]",
        "dataFrom: [{sourceRef: {generatorRef: {kind: UUID, name: id}}, rewrite: [{regexp: {}}]}]",
    ],
)
def test_what_only_the_store_knows_is_not_judged(source):
    assert not sentences(source, "{{ .whatever }}")


def test_data_without_a_store_is_never_fetched():
    without = STORE.replace("secretStoreRef: {kind: SecretStore, name: store}", "refreshInterval: 1h")
    assert sentences(without) == ["ExternalSecret binder/push reads from no store, so it makes no Secret"]


@pytest.mark.parametrize(
    ("kind", "interval", "lasts"),
    [
        ("GCRAccessToken", "59m", True),
        ("GCRAccessToken", "59m59s", True),
        ("GCRAccessToken", "1h", False),
        ("GCRAccessToken", "60m0s", False),
        ("GCRAccessToken", "0", False),
        ("GCRAccessToken", "1.5h", True),
        ("ECRAuthorizationToken", "11h", True),
        ("ECRAuthorizationToken", "12h", False),
        ("Password", "0", True),
    ],
)
def test_a_token_is_fetched_again_before_it_ends(kind, interval, lasts):
    spec = GENERATOR.replace("ECRAuthorizationToken", kind)
    spec = spec.replace("dataFrom", f'refreshInterval: "{interval}"\n    dataFrom')
    assert bool(sentences(spec)) is not lasts


def test_without_an_interval_it_is_fetched_every_hour():
    (sentence,) = sentences(GENERATOR.replace("ECRAuthorizationToken", "GCRAccessToken"))
    assert "every hour, as it does by default, and it lives for 1 h" in sentence

"""What a Secret gives away."""

from __future__ import annotations

from base64 import b64encode

import pytest

from validate.cluster.objects import KubeObject
from validate.cluster.secrets import literal_credentials

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n"


def given_away(field, text):
    if field == "data":
        text = b64encode(text.encode()).decode()
    secret = KubeObject({"kind": "Secret", field: {"key": text}}, lambda _: ())
    return [str(place) for place in literal_credentials(secret)]


@pytest.mark.parametrize("field", ["data", "stringData"])
@pytest.mark.parametrize("text", ["token", KEY, CERTIFICATE + KEY, "an ENC[AES256_GCM] in the middle"])
def test_what_is_readable_is_given_away(field, text):
    assert given_away(field, text) == [f"{field}.key"]


@pytest.mark.parametrize("field", ["data", "stringData"])
@pytest.mark.parametrize("text", ["", "\n", CERTIFICATE])
def test_nothing_and_a_certificate_are_no_credentials(field, text):
    assert given_away(field, text) == []


@pytest.mark.parametrize("field", ["data", "stringData"])
def test_what_sops_has_encrypted_is_not_given_away(field):
    secret = KubeObject({"kind": "Secret", field: {"key": "ENC[AES256_GCM,data:YQ==]"}}, lambda _: ())
    assert not list(literal_credentials(secret))


def test_data_that_is_no_base64_is_given_away():
    secret = KubeObject({"kind": "Secret", "data": {"key": "não"}}, lambda _: ())
    assert [str(place) for place in literal_credentials(secret)] == ["data.key"]

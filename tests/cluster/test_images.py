"""How references to images are read."""

from __future__ import annotations

import pytest

from validate.cluster.images import ImageReference, read_image

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker", ("docker.io/library/docker", "", "")),
        ("docker:28", ("docker.io/library/docker", "28", "")),
        ("docker.io/library/docker:28", ("docker.io/library/docker", "28", "")),
        ("jupyterhub/k8s-hub:4", ("docker.io/jupyterhub/k8s-hub", "4", "")),
        ("quay.io/jupyterhub/repo2docker", ("quay.io/jupyterhub/repo2docker", "", "")),
        ("localhost/image:1", ("localhost/image", "1", "")),
        ("registry:5000/image", ("registry:5000/image", "", "")),
        ("registry:5000/image:1", ("registry:5000/image", "1", "")),
        (f"quay.io/a/b@{DIGEST}", ("quay.io/a/b", "", DIGEST)),
        (f"registry:5000/b:1@{DIGEST}", ("registry:5000/b", "1", DIGEST)),
    ],
)
def test_a_reference_is_read_as_a_runtime_reads_it(text, expected):
    assert read_image(text) == ImageReference(*expected)

"""Generated data is traced to the file that holds it, however long it is."""

from __future__ import annotations

import pytest

from validate.kustomize.render import find_kustomize
from validate.trace import trace_build

# Around the lengths at which Kustomize breaks base64: after 70 characters, which are 52.5 bytes.
SIZES = (0, 1, 51, 52, 53, 54, 104, 105, 106, 300)


@pytest.mark.parametrize("byte", [b"x", b"\xff"], ids=["text", "binary"])
def test_each_entry_of_a_generated_secret_stands_in_its_file(tmp_path, request, byte):
    overlay = tmp_path / "overlays" / "one"
    overlay.mkdir(parents=True)
    for size in SIZES:
        (overlay / f"of-{size}").write_bytes(byte * size)
    files = ", ".join(f"of-{size}" for size in SIZES)
    (overlay / "kustomization.yaml").write_text(f"secretGenerator: [{{name: one, files: [{files}]}}]\n")
    kustomize = find_kustomize(request.config.rootpath)
    (secret,) = trace_build(tmp_path, kustomize.start(tmp_path, "overlays/one")).objects
    written = {key: place.origin.file for key, place in secret.place.at("data").entries()}
    assert written == {f"of-{size}": f"overlays/one/of-{size}" for size in SIZES}

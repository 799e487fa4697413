"""Read every fragment of config.d; a later one replaces what an earlier one says of a trait."""

from pathlib import Path

import yaml

for fragment in sorted(Path("/etc/binderhub/config.d").glob("*.yaml")):
    for name, traits in yaml.safe_load(fragment.read_text(encoding="utf-8")).items():
        c[name].update(traits)  # noqa: F821 - traitlets provides it

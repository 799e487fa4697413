"""Root file systems from Debian packages."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from tests.e2e.airgap.store import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.airgap.store import Workbench

# Every file has this date or an older one, so that the same packages give the same bytes: 2026-01-01.
EPOCH = 1767225600
_LEFT_OUT = (
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
)


def root_file_system(
    name: str,
    suite: str,
    packages: Sequence[str],
    *,
    title: str,
    commands: Sequence[str] = (),
    variant: str = "minbase",
) -> Part:
    """Return a tar archive with ``packages`` of a Debian release, and all that they need.

    ``commands`` run at the end, the directory of the root file system in ``$1``. The archive has no
    devices, no package lists and no manuals.
    """
    options = [
        f"--variant={variant}",
        "--format=tar",
        f"--include={','.join(packages)}",
        "--skip=output/dev,output/mknod",
        *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--customize-hook={command}" for command in commands),
    ]

    def build(bench: Workbench) -> None:
        # It chooses the format by the name, which here has none that it knows.
        bench.run("mmdebstrap", *options, suite, bench.target, env={"SOURCE_DATE_EPOCH": str(EPOCH)})

    return Part(f"{name}.tar", title, 1.2, build, (suite, shlex.join(options), str(EPOCH)))

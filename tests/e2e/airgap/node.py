"""The image of kind's nodes: Debian with systemd and containerd, and Kubernetes in one program.

What kind expects of a node image: an entry point that prepares the container for systemd,
``/kind/version``, the manifests in ``/kind/manifests``, kubeadm, kubelet and kubectl on the path, and a
containerd that has the images of the control plane.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.airgap import archives, programs
from tests.e2e.airgap.archives import Image, Layer, write_archive
from tests.e2e.airgap.debian import root_file_system
from tests.e2e.airgap.store import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.airgap.store import Workbench

# Not the name of kind's own image: this one is in the machine's engine.
REPOSITORY = "localhost/binderhub-service-node"
_FILES = Path(__file__).with_name("node")
# systemd 252 is the last of Debian that runs on cgroup v1.
_SUITE = "bookworm"
_PACKAGES = """
    systemd systemd-sysv dbus containerd runc containernetworking-plugins iptables conntrack ethtool socat
    kmod iproute2 procps util-linux mount ca-certificates ebtables jq libseccomp2 e2fsprogs curl
""".split()
_BIN = "/usr/local/bin"
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_TABLES = ("iptables", "ip6tables")
_UNITS = ("containerd", "kubelet", "node-setup", "node-dns")
# Units that make no sense in a container; and iptables of the nft variant: by rules of the engine that are so
# names resolve in a container, and those are lost beside rules of the other variant.
_COMMANDS = (
    'rm -f "$1"/lib/systemd/system/multi-user.target.wants/* "$1"/etc/systemd/system/*.wants/*',
    'rm -f "$1"/lib/systemd/system/local-fs.target.wants/*',
    'rm -f "$1"/lib/systemd/system/sockets.target.wants/*udev*',
    'rm -f "$1"/lib/systemd/system/sockets.target.wants/*initctl*',
    'rm -f "$1"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service',
    *(f'chroot "$1" update-alternatives --quiet --set {name} /usr/sbin/{name}-nft' for name in _TABLES),
)


@cache
def node_image() -> Part:
    """Return the node image as an archive for ``docker load``."""
    root = root_file_system("node-root", _SUITE, _PACKAGES, title="Debian for nodes", commands=_COMMANDS)
    control_plane = _control_plane()
    kubernetes = programs.kubernetes()

    def build(bench: Workbench) -> None:
        own = bench.scratch / "own.tar"
        with Layer(own) as layer:
            layer.tree("", _FILES)
            layer.file("/kind/version", programs.KUBERNETES.encode())
            layer.file("/kind/images/control-plane.tar", bench.made[control_plane.name])
            layer.file("/usr/bin/kubelet", bench.made[kubernetes.name], 0o755)
            for name in ("kubeadm", "kubectl"):
                layer.link(f"/usr/bin/{name}", "kubelet")
            layer.link("/opt/cni/bin", "/usr/lib/cni")
            layer.link("/etc/systemd/system/systemd-binfmt.service", "/dev/null")
            for unit in _UNITS:
                wanted = f"/etc/systemd/system/multi-user.target.wants/{unit}.service"
                layer.link(wanted, f"/etc/systemd/system/{unit}.service")
            for directory in ("/dev", "/proc", "/sys", "/run", "/etc/kubernetes/manifests"):
                layer.directory(directory)
        settings = {
            "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
            "Env": [archives.PATH, "container=docker"],
        }
        write_archive(bench.target, [Image([_reference(bench.key)], [bench.made[root.name], own], settings)])

    inputs = (_FILES, Path(__file__), Path(archives.__file__))
    return Part("node.image.tar", "the node image", 0.4, build, inputs, (root, control_plane, kubernetes))


def node_reference() -> str:
    """Return the name of the node image in the engine: it has the hash of all that the image is made of."""
    return _reference(node_image().key)


def _reference(key: str) -> str:
    return f"{REPOSITORY}:{programs.KUBERNETES}-{key}"


@cache
def _control_plane() -> Part:
    """Return the images that kubeadm asks for, in one archive: two root file systems under many names."""
    root = root_file_system(
        "kube-root", _SUITE, ["iptables", "conntrack", "ipset", "kmod", "busybox-static"],
        title="Debian for the control plane",
    )  # fmt: skip
    kubernetes, etcd, coredns, router = (
        programs.kubernetes(), programs.etcd(), programs.coredns(), programs.kube_router(),
    )  # fmt: skip

    def build(bench: Workbench) -> None:
        references = _references(bench, bench.made[kubernetes.name])
        kube, dns = (bench.scratch / f"{name}.tar" for name in ("kube", "dns"))
        with Layer(kube) as layer:
            layer.file(f"{_BIN}/kube-apiserver", bench.made[kubernetes.name], 0o755)
            for name in (*_CONTROL_PLANE[1:], "kubectl"):
                layer.link(f"{_BIN}/{name}", "kube-apiserver")
            layer.file(f"{_BIN}/etcd", bench.made[etcd.name], 0o755)
            layer.file(f"{_BIN}/kube-router", bench.made[router.name], 0o755)
            for table in _TABLES:
                for name in (table, f"{table}-save", f"{table}-restore"):
                    layer.link(f"{_BIN}/{name}", "/usr/sbin/xtables-nft-multi")
        with Layer(dns) as layer:
            layer.file("/coredns", bench.made[coredns.name], 0o755)
        base = bench.made[root.name]

        def image(words: Sequence[str], layers: Sequence[Path], *entrypoint: str) -> Image:
            named = [reference for reference in references if any(word in reference for word in words)]
            return Image(named, [base, *layers], {"Entrypoint": list(entrypoint)} if entrypoint else {})

        write_archive(
            bench.target,
            [
                image(("/kube-", "/etcd"), [kube]),
                image(("/coredns",), [dns], "/coredns"),
                image(("/pause",), [], "/bin/busybox", "sleep", "infinity"),
            ],
        )

    inputs = (Path(__file__), Path(archives.__file__))
    needs = (root, kubernetes, etcd, coredns, router)
    return Part("control-plane.image.tar", "images of the control plane", 0.3, build, inputs, needs)


def _references(bench: Workbench, kubernetes: Path) -> list[str]:
    """Return the images that this very kubeadm asks for."""
    kubeadm = bench.scratch / "kubeadm"
    kubeadm.symlink_to(kubernetes)
    version = f"--kubernetes-version={programs.KUBERNETES}"
    return bench.output(kubeadm, "config", "images", "list", version).split()

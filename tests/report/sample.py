"""A report with one of everything that a run can say."""

from __future__ import annotations

from msgspec.structs import replace

from validate.finding import Finding, Location, Outcome, OverlayReport, Report, Verdict, Waived, locate
from validate.place import Origin, Spot, Writer
from validate.rules.rule import Severity
from validate.waivers import FILE, Waiver

HOLDS, BREACHED, WAIVED = (Outcome(verdict) for verdict in (Verdict.HOLDS, Verdict.BREACHED, Verdict.WAIVED))
NOTHING = Outcome(Verdict.NOT_APPLICABLE, "sticky_builds is off")
FAILED = Outcome(Verdict.NOT_CHECKED, "dead-patch failed on the repository (KeyError: 'x')")
CREDENTIAL = "aHVudGVyMg=="

MISPLACED = Finding(
    overlay="overlays/eks",
    rule="build-pod-without-docker-api",
    severity=Severity.ERROR,
    at=Location(
        "DaemonSet binder/docker-api",
        "spec.template.spec.nodeSelector.pool",
        exists=True,
        value="docker",
        writers=(
            Origin("overlays/eks/daemonset.placement.yaml", 9, 19, Writer.STRATEGIC_MERGE),
            Origin("base/docker-api/daemonset.yaml", 31, 9, Writer.RESOURCE),
        ),
        source="            pool: docker  # large disks",
    ),
    problem="a build pod can land on a node where docker-api does not run",
    fix="make docker-api admit that node in overlays/eks/daemonset.placement.yaml",
    evidence="this node admits the build pod:\nlabels: {}",
    related=(
        Location(
            "BinderHub configuration",
            "KubernetesBuildExecutor.extra[0]",
            exists=False,
            value=None,
            writers=(Origin("overlays/eks/config/50-eks.yaml", 4, 11, Writer.FRAGMENT),),
            source="KubernetesBuildExecutor:",
        ),
    ),
)
EXPOSED = Finding(
    overlay="overlays/kind",
    rule="secret-in-git",
    severity=Severity.ERROR,
    at=locate(
        Spot(
            "Secret binder/registry-5f7h9k2m4t",
            ("data", "config.json"),
            CREDENTIAL,
            exists=True,
            writers=(Origin("overlays/kind/se cret.yaml", 6, 16, Writer.RESOURCE),),
        ),
        f"  config.json: {CREDENTIAL}",
    ),
    problem="100 % of the <b>password</b> is here: ask @somebody, or `git log`",
    fix="remove it from overlays/kind/se cret.yaml",
)
IDLE = replace(
    MISPLACED,
    rule="idle-docker-api",
    severity=Severity.WARNING,
    problem="docker-api runs where no build pod can",
    evidence="",
    related=(),
)
UNPINNED = Finding(
    overlay="overlays/kind",
    rule="unpinned-image",
    severity=Severity.ERROR,
    at=Location(
        "Deployment binder/binderhub",
        "spec.template.spec.containers[0].image",
        exists=True,
        value="quay.io/jupyterhub/k8s-binderhub:1",
        writers=(Origin("base/binderhub/deployment.yaml", 20, 18, Writer.RESOURCE),),
        source="          image: quay.io/jupyterhub/k8s-binderhub:1",
    ),
    problem="quay.io/jupyterhub/k8s-binderhub:1 has no digest",
    fix="look up its digest and write it into overlays/kind/kustomization.yaml",
    image="quay.io/jupyterhub/k8s-binderhub:1",
)
WAIVER = Waiver(
    "unpinned-image",
    "overlays/kind",
    "Deployment binder/binderhub",
    "no digest is known yet",
    "platform-team",
    "2027-05-31",
    "quay.io/jupyterhub/k8s-binderhub:1",
    Spot("", (0,), None, exists=True, writers=(Origin(FILE, 3, 3, Writer.SOURCE),)),
)


def overlay(name, *findings, objects=30, obstacle="", **outcomes):
    told = {rule.replace("_", "-"): outcome for rule, outcome in outcomes.items()}
    return OverlayReport(name, objects, told, findings, obstacle)


def everything():
    """A report of two overlays, with errors, a warning, a waiver, an obstacle and a note."""
    eks = overlay(
        "overlays/eks",
        MISPLACED,
        IDLE,
        build_pod_without_docker_api=BREACHED,
        idle_docker_api=BREACHED,
        sticky_build_without_label=NOTHING,
        unpinned_image=HOLDS,
        secret_in_git=HOLDS,
    )
    kind = overlay(
        "overlays/kind",
        EXPOSED,
        objects=31,
        build_pod_without_docker_api=HOLDS,
        idle_docker_api=HOLDS,
        sticky_build_without_label=NOTHING,
        unpinned_image=WAIVED,
        secret_in_git=BREACHED,
    )
    repository = overlay("", objects=None, dead_patch=FAILED)
    return Report(
        (eks, kind),
        repository,
        waived=(Waived(UNPINNED, WAIVER),),
        notes=("overlays/half has no kustomization.yaml and was not checked",),
    )


def only(*findings, **more):
    """A report with these findings of one overlay."""
    outcomes = {finding.rule: BREACHED for finding in findings}
    return Report((OverlayReport("overlays/eks", 30, outcomes, findings),), OverlayReport(""), **more)

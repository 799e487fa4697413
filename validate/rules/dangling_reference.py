"""dangling-reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from validate.cluster.certificates import uncovered
from validate.cluster.external_secrets import wants
from validate.cluster.placeholders import placeholders
from validate.cluster.programs import faults
from validate.cluster.references import dangling
from validate.rules.rule import Breach, OverlayRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate.overlay import Overlay


class DanglingReference(OverlayRule):
    """An object names another one, or a key of it, that nothing produces.

    Kubernetes accepts an object that refers to something missing. The pod then stays in
    ContainerCreating, the binding grants nothing, the Ingress answers 503: each looks like something
    else at first. A key counts like a name, since a missing one stops the pod just the same
    (stackrox/kube-linter issue 705), and a `subPath` of a missing key becomes an empty directory.

    A program is told what to use by words that nothing checks: the path of a configuration that is
    mounted elsewhere, a script that `sh` takes for the name of a file, a variable that `set -u` insists
    on, a port that a probe asks at by a name which the container gives to none, a directory to write to on a
    read-only file system, a pause before the end for which the pod has no time. Where the overlay has both
    ends, they are compared.

    An Ingress with certificates has to have one for each of its hosts: for the others, the controller shows a
    certificate that no browser trusts.

    An ExternalSecret is no Secret yet: one that reads from no store, or whose template uses a value that
    it does not fetch, makes none. Neither does one with the account, identity or vault that a component
    has for a placeholder.

    What operators make counts as produced: an ExternalSecret, a SealedSecret or a Certificate is as good
    as its Secret. References that say `optional: true` may dangle. What exists in the cluster without
    being in this repository is declared under `provides` in `cluster.yaml`.
    """

    id = "dangling-reference"
    requires = ("missing-push-secret", "wrong-push-secret-key")

    def check(self, overlay: Overlay) -> Iterator[Breach]:
        """Look up everything that the objects name."""
        for reference, why in dangling(overlay.objects, overlay.facts.provides):
            place = reference.place
            yield Breach(
                at=place,
                problem=why,
                fix=f"correct {place.value} in {place.origin.file} or add what it names; "
                "if the cluster has it, say so under provides in cluster.yaml",
            )
        for want in wants(overlay.objects):
            yield Breach(
                at=want.at,
                problem=want.sentence,
                fix=f"{want.fix} in {want.at.origin.file}",
            )
        for placeholder in placeholders(overlay.objects):
            at = placeholder.at
            yield Breach(
                at=at,
                problem=f"{at.document.title} has the placeholder {at.value} for {placeholder.meant}",
                fix=f"write {placeholder.meant} in a patch of {overlay.name}",
            )
        for host, named in uncovered(overlay.objects):
            names = ", ".join(one.text for one in named)
            yield Breach(
                at=host,
                problem=f"{host.document.title} serves {host.text}, and its certificates are for {names}: no "
                "browser trusts it",
                fix=f"name {host.text} under spec.tls in {host.origin.file}",
                related=named,
            )
        # Whether BinderHub finds its own configuration is judged by silent-config-failure, and where its
        # probes ask by port-mismatch.
        file = overlay.config.config_file if overlay.config else None
        own = {file.origin} if file is not None else set()
        if overlay.binder:
            container = overlay.binder.container.place
            probes = ("startupProbe", "readinessProbe", "livenessProbe")
            own |= {container.at(probe, "httpGet", "port").origin for probe in probes}
        for fault in faults(overlay.pods, overlay.objects):
            if fault.at.origin in own:
                continue
            yield Breach(
                at=fault.at,
                problem=fault.problem,
                fix=f"correct it in {fault.at.origin.file}, or give the container what it asks for",
                related=fault.related,
            )

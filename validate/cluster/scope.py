"""Which kinds have no namespace."""

from __future__ import annotations

from validate.cluster.reference_table import CLUSTER_WIDE

# Nothing refers to these, so the table of references does not have them.
_NEVER_NAMED = frozenset({"APIService", "CSIDriver", "CSINode", "ClusterRoleBinding", "FlowSchema"})
_FAMILIES = ("AdmissionPolicy", "AdmissionPolicyBinding", "WebhookConfiguration")


def is_cluster_wide(kind: str) -> bool:
    """Whether objects of that kind have no namespace, even where Kustomize 5.8 writes one on them."""
    return kind in CLUSTER_WIDE or kind in _NEVER_NAMED or kind.endswith(_FAMILIES)

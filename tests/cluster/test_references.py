"""References and who satisfies them: the miss, and the near miss beside it."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validate.cluster.objects import KubeObject
from validate.cluster.producers import producers
from validate.cluster.references import dangling, references
from validate.source import compose


@dataclass(frozen=True)
class Declared:
    kind: str
    name: str
    namespace: str = ""
    keys: tuple[str, ...] = ()


def objects(text: str) -> tuple[KubeObject, ...]:
    fields = compose(dedent(text), "objects.yaml")
    return tuple(KubeObject(field.plain(), field.writers_at) for field in fields)  # type: ignore[arg-type]


def sentences(text: str, *declared: Declared) -> list[str]:
    return [why for _, why in dangling(objects(text), declared)]


def pod(spec: str, *others: str) -> str:
    head = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: binder}\nspec:\n"
    body = "\n".join(f"  {line}" for line in dedent(spec).strip().splitlines())
    return "\n---\n".join([head + body, *(dedent(other).strip() for other in others)])


CREDENTIALS = """
    apiVersion: v1
    kind: Secret
    metadata: {name: registry-credentials, namespace: binder}
    stringData: {config.json: "{}"}
"""
VOLUME_OF_CREDENTIALS = "volumes: [{name: v, secret: {secretName: registry-credentials}}]"


def test_a_volume_of_a_secret_that_nobody_produces_is_named_with_what_happens() -> None:
    (sentence,) = sentences(pod(VOLUME_OF_CREDENTIALS))
    missing, _, consequence = sentence.partition(", so ")
    assert missing == "nothing produces Secret binder/registry-credentials"
    assert consequence == "the kubelet cannot mount the volume and the pod stays in ContainerCreating"


def test_a_volume_of_a_secret_in_the_same_namespace_holds() -> None:
    assert sentences(pod(VOLUME_OF_CREDENTIALS, CREDENTIALS)) == []


def test_a_secret_of_another_namespace_does_not_help_and_is_mentioned() -> None:
    (sentence,) = sentences(
        pod(VOLUME_OF_CREDENTIALS, CREDENTIALS.replace("namespace: binder", "namespace: hub"))
    )
    assert (
        "nothing produces Secret binder/registry-credentials (one of that name is in namespace hub)"
        in sentence
    )


def test_a_near_name_is_suggested() -> None:
    (sentence,) = sentences(pod(VOLUME_OF_CREDENTIALS, CREDENTIALS.replace("credentials", "credential")))
    assert "(there is registry-credential)" in sentence


def test_the_place_of_a_dangling_reference_is_the_line_of_the_name() -> None:
    ((reference, _),) = dangling(objects(pod(VOLUME_OF_CREDENTIALS)))
    assert (str(reference.place), reference.place.origin.line) == ("spec.volumes[0].secret.secretName", 5)


def test_a_config_map_of_the_same_name_is_no_secret() -> None:
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: registry-credentials, namespace: binder}"
    assert len(sentences(pod(VOLUME_OF_CREDENTIALS, other))) == 1


def test_an_optional_volume_may_dangle() -> None:
    spec = "volumes: [{name: v, secret: {secretName: registry-credentials, optional: true}}]"
    assert sentences(pod(spec)) == []
    assert len(sentences(pod(spec.replace("true", "false")))) == 1


def test_an_item_of_a_volume_must_be_a_key() -> None:
    spec = "volumes: [{name: v, secret: {secretName: registry-credentials, items: [{key: KEY, path: x}]}}]"
    assert sentences(pod(spec.replace("KEY", "config.json"), CREDENTIALS)) == []
    (sentence,) = sentences(pod(spec.replace("KEY", ".dockerconfigjson"), CREDENTIALS))
    assert sentence.startswith(
        "Secret binder/registry-credentials has no key .dockerconfigjson, only config.json, so"
    )


ENV = """
    containers:
      - name: c
        env: [{name: A, valueFrom: {secretKeyRef: {name: registry-credentials, key: KEY}}}]
"""


def test_an_environment_variable_must_name_a_key() -> None:
    assert sentences(pod(ENV.replace("KEY", "config.json"), CREDENTIALS)) == []
    ((reference, why),) = dangling(objects(pod(ENV.replace("KEY", "password"), CREDENTIALS)))
    assert str(reference.place).endswith("secretKeyRef.key")
    assert "CreateContainerConfigError" in why


def test_where_the_object_is_missing_the_place_is_its_name_and_not_the_key() -> None:
    ((reference, _),) = dangling(objects(pod(ENV.replace("KEY", "config.json"))))
    assert str(reference.place).endswith("secretKeyRef.name")


def test_an_init_container_is_read_like_a_container() -> None:
    assert (
        len(
            sentences(
                pod(ENV.replace("containers", "initContainers").replace("KEY", "password"), CREDENTIALS)
            )
        )
        == 1
    )


@pytest.mark.parametrize(
    ("kind", "fragment"),
    [
        ("ConfigMap", "volumes: [{name: v, configMap: {name: gone}}]"),
        ("ConfigMap", "volumes: [{name: v, projected: {sources: [{configMap: {name: gone}}]}}]"),
        ("Secret", "volumes: [{name: v, projected: {sources: [{secret: {name: gone}}]}}]"),
        ("Secret", "volumes: [{name: v, csi: {driver: d, nodePublishSecretRef: {name: gone}}}]"),
        ("Secret", "volumes: [{name: v, rbd: {secretRef: {name: gone}}}]"),
        ("PersistentVolumeClaim", "volumes: [{name: v, persistentVolumeClaim: {claimName: gone}}]"),
        ("ConfigMap", "containers: [{name: c, envFrom: [{configMapRef: {name: gone}}]}]"),
        ("Secret", "containers: [{name: c, envFrom: [{secretRef: {name: gone}}]}]"),
        ("Secret", "imagePullSecrets: [{name: gone}]"),
        ("ServiceAccount", "serviceAccountName: gone"),
        ("PriorityClass", "priorityClassName: gone"),
        ("RuntimeClass", "runtimeClassName: gone"),
    ],
)
def test_every_place_of_a_pod_that_names_an_object_is_a_reference(kind: str, fragment: str) -> None:
    found = [
        (reference.kind, reference.name, reference.place.value)
        for reference, _ in dangling(objects(pod(fragment)))
    ]
    assert found == [(kind, "gone", "gone")]


def test_what_kubernetes_makes_by_itself_needs_no_producer() -> None:
    spec = """
        serviceAccountName: default
        priorityClassName: system-node-critical
        volumes:
          - name: ca
            configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    """
    assert sentences(pod(spec)) == []


def test_a_priority_class_that_only_sounds_like_one_of_kubernetes_dangles() -> None:
    assert len(sentences(pod("priorityClassName: systemic"))) == 1


def test_what_the_facts_of_the_cluster_declare_needs_no_producer() -> None:
    declared = Declared("Secret", "registry-credentials", "binder", ("config.json",))
    assert sentences(pod(ENV.replace("KEY", "config.json")), declared) == []
    assert len(sentences(pod(ENV.replace("KEY", "password")), declared)) == 1
    assert len(sentences(pod(VOLUME_OF_CREDENTIALS), Declared("Secret", "registry-credentials", "hub"))) == 1


def test_a_declared_secret_without_keys_has_any_key() -> None:
    assert sentences(pod(ENV.replace("KEY", "password")), Declared("Secret", "registry-credentials")) == []


def test_a_pull_secret_must_have_one_of_the_two_docker_keys() -> None:
    spec = "imagePullSecrets: [{name: registry-credentials}]"
    assert sentences(pod(spec, CREDENTIALS.replace("config.json", ".dockercfg"))) == []
    assert sentences(pod(spec, CREDENTIALS.replace("config.json", ".dockerconfigjson"))) == []
    assert len(sentences(pod(spec, CREDENTIALS))) == 1


SUB_PATH = """
    containers: [{name: c, volumeMounts: [{name: v, mountPath: /root/.docker/config.json, subPath: SUB}]}]
    volumes: [VOLUME]
"""


def mounted(sub_path: str, volume: str) -> str:
    return SUB_PATH.replace("SUB", sub_path).replace("VOLUME", volume)


def test_a_sub_path_must_be_a_key_of_the_secret() -> None:
    volume = "{name: v, secret: {secretName: registry-credentials}}"
    assert sentences(pod(mounted("config.json", volume), CREDENTIALS)) == []
    (sentence,) = sentences(pod(mounted(".dockerconfigjson", volume), CREDENTIALS))
    assert sentence.endswith("the kubelet mounts an empty directory where the container expects a file")


def test_a_sub_path_of_a_volume_with_items_must_be_one_of_their_paths() -> None:
    volume = "{name: v, secret: {secretName: registry-credentials, items: [{key: config.json, path: auth}]}}"
    assert sentences(pod(mounted("auth", volume), CREDENTIALS)) == []
    (sentence,) = sentences(pod(mounted("config.json", volume), CREDENTIALS))
    assert sentence.startswith("the items of volume v do not list config.json")


def test_a_sub_path_of_a_projected_volume_may_come_from_any_source() -> None:
    sources = "{configMap: {name: kube-root-ca.crt}}, {secret: {name: registry-credentials}}"
    volume = f"{{name: v, projected: {{sources: [{sources}, {{serviceAccountToken: {{path: token}}}}]}}}}"
    assert sentences(pod(mounted("config.json", volume), CREDENTIALS)) == []
    assert sentences(pod(mounted("ca.crt", volume), CREDENTIALS)) == []
    assert sentences(pod(mounted("token", volume), CREDENTIALS)) == []
    assert len(sentences(pod(mounted("other", volume), CREDENTIALS))) == 1


EXTERNAL = """
    apiVersion: external-secrets.io/v1
    kind: ExternalSecret
    metadata: {name: registry, namespace: binder}
    spec:
      secretStoreRef: {kind: ClusterSecretStore, name: vault}
      target: TARGET
      data: [{secretKey: password, remoteRef: {key: k}}]
"""
STORE = Declared("ClusterSecretStore", "vault")


def external_keys(target: str, more: str = "") -> tuple[str, frozenset[str] | None, bool] | None:
    text = dedent(EXTERNAL).replace("TARGET", target) + more
    made = [item for item in producers(objects(text)) if item.kind == "Secret"]
    assert len(made) <= 1
    return (made[0].name, made[0].keys, made[0].creates) if made else None


def test_an_external_secret_yields_a_secret_of_its_own_name_and_keys() -> None:
    assert external_keys("{}") == ("registry", frozenset({"password"}), True)


def test_a_template_with_data_replaces_what_was_fetched() -> None:
    target = "{name: x, template: {data: {config.json: '{{ .password }}'}}}"
    assert external_keys(target) == ("x", frozenset({"config.json"}), True)


def test_a_template_without_data_keeps_what_was_fetched() -> None:
    assert external_keys("{template: {type: Opaque}}") == ("registry", frozenset({"password"}), True)


def test_a_merging_template_keeps_what_was_fetched() -> None:
    target = "{template: {mergePolicy: Merge, data: {config.json: x}}}"
    assert external_keys(target) == ("registry", frozenset({"config.json", "password"}), True)


def test_the_keys_of_data_from_are_unknown_unless_a_template_replaces_them() -> None:
    more = "  dataFrom: [{extract: {key: k}}]\n"
    assert external_keys("{}", more) == ("registry", None, True)
    assert external_keys("{template: {data: {a: b}}}", more) == ("registry", frozenset({"a"}), True)


def test_templates_from_a_config_map_yield_their_own_keys() -> None:
    source = (
        "{template: {templateFrom: [{configMap: {name: t, items: [{key: config.json, templateAs: AS}]}}]}}"
    )
    assert external_keys(source.replace("AS", "Values")) == ("registry", frozenset({"config.json"}), True)
    assert external_keys(source.replace("AS", "KeysAndValues")) == ("registry", None, True)


def test_creation_policy_none_yields_nothing_and_merge_only_adds() -> None:
    assert external_keys("{creationPolicy: None}") is None
    merged = external_keys("{creationPolicy: Merge}")
    assert merged is not None
    assert merged[2] is False


def test_a_merging_external_secret_needs_the_secret_that_it_merges_into() -> None:
    external = EXTERNAL.replace("TARGET", "{name: registry-credentials, creationPolicy: Merge}")
    both = ENV.replace("KEY", "password")
    assert len(sentences(pod(both, external), STORE)) == 1
    assert sentences(pod(both, external, CREDENTIALS), STORE) == []


def test_an_external_secret_needs_its_store_and_generator() -> None:
    text = EXTERNAL.replace("TARGET", "{}") + (
        "      dataFrom: [{sourceRef: {generatorRef: "
        "{apiVersion: generators.external-secrets.io/v1alpha1, kind: ECRAuthorizationToken, name: ecr}}}]\n"
    )
    found = [(item.kind, item.namespace, item.group) for item, _ in dangling(objects(text))]
    assert found == [
        ("ClusterSecretStore", "", "external-secrets.io"),
        ("ECRAuthorizationToken", "binder", "generators.external-secrets.io"),
    ]
    generator = """
        apiVersion: generators.external-secrets.io/v1alpha1
        kind: ECRAuthorizationToken
        metadata: {name: ecr, namespace: binder}
        spec: {auth: {jwt: {serviceAccountRef: {name: ecr-reader}}}}
    """
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ecr-reader, namespace: binder}"
    assert sentences(dedent(text) + "---" + dedent(generator) + "---\n" + account, STORE) == []
    (sentence,) = sentences(dedent(text) + "---" + dedent(generator), STORE)
    assert sentence.startswith("nothing produces ServiceAccount binder/ecr-reader")


def test_a_store_names_the_secret_and_key_that_it_logs_in_with() -> None:
    text = """
        apiVersion: external-secrets.io/v1
        kind: SecretStore
        metadata: {name: s, namespace: binder}
        spec: {provider: {aws: {auth: {secretRef: {accessKeyIDSecretRef: {name: login, key: id}}}}}}
    """
    ((reference, _),) = dangling(objects(text))
    assert (reference.kind, reference.name, reference.key) == ("Secret", "login", "id")


SEALED = """
    apiVersion: bitnami.com/v1alpha1
    kind: SealedSecret
    metadata: {name: made, namespace: binder}
    spec: {encryptedData: {config.json: A}, template: {data: {other: b}}}
"""
CERTIFICATE = """
    apiVersion: cert-manager.io/v1
    kind: Certificate
    metadata: {name: c, namespace: binder}
    spec: {secretName: made}
"""
SOPS = """
    apiVersion: v1
    kind: Secret
    metadata: {name: made, namespace: binder}
    data: {config.json: "ENC[AES256_GCM,data:x]"}
    sops: {version: 3.9.0}
"""
CSI = """
    apiVersion: secrets-store.csi.x-k8s.io/v1
    kind: SecretProviderClass
    metadata: {name: c, namespace: binder}
    spec: {secretObjects: [{secretName: made, data: [{key: config.json}]}]}
"""
OF_ACCOUNT = """
    apiVersion: v1
    kind: Secret
    type: kubernetes.io/service-account-token
    metadata: {name: made, namespace: binder}
"""


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        (SEALED, {"config.json", "other"}),
        (CERTIFICATE, {"tls.crt", "tls.key", "ca.crt"}),
        (SOPS, {"config.json"}),
        (CSI, {"config.json"}),
        (OF_ACCOUNT, {"token", "ca.crt", "namespace"}),
    ],
    ids=["sealed", "certificate", "sops", "csi", "token"],
)
def test_every_producer_of_a_secret_yields_its_keys(source: str, keys: set[str]) -> None:
    made = [
        (item.name, item.namespace, item.keys) for item in producers(objects(source)) if item.kind == "Secret"
    ]
    assert made == [("made", "binder", frozenset(keys))]


BINDING = """
    apiVersion: rbac.authorization.k8s.io/v1
    kind: RoleBinding
    metadata: {name: b, namespace: binder}
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: KIND, name: NAME}
    subjects: [SUBJECT]
"""


def binding(kind: str, name: str, subject: str) -> str:
    return BINDING.replace("KIND", kind).replace("NAME", name).replace("SUBJECT", subject)


def test_a_binding_names_its_role_and_its_service_accounts() -> None:
    text = binding("Role", "r", "{kind: ServiceAccount, name: hub, namespace: jupyterhub}")
    assert [item.title for item, _ in dangling(objects(text))] == [
        "Role binder/r",
        "ServiceAccount jupyterhub/hub",
    ]


def test_a_binding_of_a_user_to_a_default_cluster_role_needs_nothing() -> None:
    user = "{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}"
    assert sentences(binding("ClusterRole", "view", user)) == []
    assert sentences(binding("ClusterRole", "system:auth-delegator", user)) == []
    assert len(sentences(binding("Role", "view", user))) == 1


INGRESS = """
    apiVersion: networking.k8s.io/v1
    kind: Ingress
    metadata: {name: i, namespace: binder}
    spec:
      ingressClassName: nginx
      rules:
        - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: binderhub, port: PORT}}}]}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: binderhub, namespace: binder}
    spec: {ports: [{name: http, port: 80, targetPort: 8585}]}
"""


@pytest.mark.parametrize(("port", "holds"), [("{name: http}", 1), ("{number: 80}", 1), ("{number: 8585}", 0)])
def test_an_ingress_names_a_port_of_the_service_not_of_its_pods(port: str, holds: int) -> None:
    found = sentences(INGRESS.replace("PORT", port), Declared("IngressClass", "nginx"))
    expected = [] if holds else ["Service binder/binderhub has no port 8585, only 80, http"]
    assert [sentence.partition(", so ")[0] for sentence in found] == expected


def test_an_ingress_class_must_be_declared() -> None:
    (sentence,) = sentences(INGRESS.replace("PORT", "{name: http}"))
    assert sentence.startswith("nothing produces IngressClass nginx")


def test_a_tls_secret_needs_certificate_and_key() -> None:
    text = INGRESS.replace("PORT", "{name: http}").replace(
        "ingressClassName: nginx", "tls: [{secretName: registry-credentials}]"
    )
    found = sentences(text + "    ---" + CREDENTIALS)
    assert [" ".join(sentence.split()[2:6]) for sentence in found] == [
        "has no key tls.crt,",
        "has no key tls.key,",
    ]


def test_a_route_names_a_listener_and_a_backend() -> None:
    text = """
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: {name: r, namespace: binder}
        spec:
          parentRefs: [{name: g, namespace: edge, sectionName: https}]
          rules: [{backendRefs: [{name: binderhub, port: 8585}]}]
        ---
        apiVersion: gateway.networking.k8s.io/v1
        kind: Gateway
        metadata: {name: g, namespace: edge}
        spec: {listeners: [{name: http}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: binderhub, namespace: binder}
        spec: {ports: [{port: 80}]}
    """
    assert [sentence.partition(", so ")[0] for sentence in sentences(text)] == [
        "Gateway edge/g has no listener https, only http",
        "Service binder/binderhub has no port 8585, only 80",
    ]


def test_a_scaler_names_a_workload_of_that_kind_and_group() -> None:
    text = """
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: h, namespace: binder}
        spec: {scaleTargetRef: {apiVersion: apps/v1, kind: KIND, name: binderhub}}
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: binderhub, namespace: binder}
    """
    assert sentences(text.replace("KIND", "Deployment")) == []
    assert len(sentences(text.replace("KIND", "StatefulSet"))) == 1


POLICY = """
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicy
    metadata: {name: images}
    spec: {paramKind: {apiVersion: v1, kind: ConfigMap}}
    ---
    apiVersion: admissionregistration.k8s.io/v1
    kind: ValidatingAdmissionPolicyBinding
    metadata: {name: b}
    spec:
      policyName: BOUND
      paramRef: {name: registries, namespace: binder, parameterNotFoundAction: ACTION}
"""


def test_a_policy_binding_names_its_policy_and_its_parameters() -> None:
    text = POLICY.replace("BOUND", "images")
    assert [item.title for item, _ in dangling(objects(text.replace("ACTION", "Deny")))] == [
        "ConfigMap binder/registries"
    ]
    assert sentences(text.replace("ACTION", "Allow")) == []
    assert [item.title for item, _ in dangling(objects(POLICY.replace("BOUND", "image")))] == [
        "ValidatingAdmissionPolicy image"
    ]


NAMES = st.sampled_from(["a", "b", "c"])
KEYS = st.sampled_from(["k", "l"])


@settings(max_examples=60, deadline=None)
@given(
    held=st.lists(st.tuples(NAMES, st.lists(KEYS, unique=True)), unique_by=lambda entry: entry[0]),
    asked=st.lists(st.tuples(NAMES, KEYS, st.booleans()), max_size=4),
)
def test_a_key_reference_dangles_exactly_where_nobody_holds_the_key(
    held: list[tuple[str, list[str]]], asked: list[tuple[str, str, bool]]
) -> None:
    made = [
        KubeObject(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name},
                "data": dict.fromkeys(keys, ""),
            },
            lambda _: (),
        )
        for name, keys in held
    ]
    env = [
        {"name": f"E{i}", "valueFrom": {"configMapKeyRef": {"name": name, "key": key, "optional": optional}}}
        for i, (name, key, optional) in enumerate(asked)
    ]
    consumer = KubeObject(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"env": env}]},
        },
        lambda _: (),
    )
    everything = (*made, consumer)
    assert [(item.name, item.key, item.optional) for item in references(everything)] == asked
    expected = [
        (name, key) for name, key, optional in asked if not optional and key not in dict(held).get(name, ())
    ]
    assert [(item.name, item.key) for item, _ in dangling(everything)] == expected

# The two rules that most people start with: what conftest is measured with in tools/compare.py.
package main

import rego.v1

pod := input.spec if input.kind == "Pod"

pod := input.spec.template.spec if input.kind in {"DaemonSet", "Deployment", "Job", "StatefulSet"}

pod := input.spec.jobTemplate.spec.template.spec if input.kind == "CronJob"

containers contains container if some container in pod.containers

containers contains container if some container in pod.initContainers

tagged(image) if contains(image, "@")

tagged(image) if {
	some tag in regex.find_all_string_submatch_n(`:([^/:]+)$`, image, 1)
	tag[1] != "latest"
}

deny contains message if {
	some container in containers
	not tagged(container.image)
	message := sprintf("%s %s: %s has no tag, or latest", [input.kind, input.metadata.name, container.image])
}

deny contains message if {
	some container in containers
	container.securityContext.privileged
	message := sprintf("%s %s: %s is privileged", [input.kind, input.metadata.name, container.name])
}

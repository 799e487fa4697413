// Command merge-keys prints the part of Kustomize's built-in OpenAPI document that strategic-merge
// patches need: which lists are merged, and by which keys. Kustomize parses 45 KB of it in a
// few milliseconds, the whole document in a hundred.
//
//	go run . > ../../validate/kustomize/merge-keys.json
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/openapi"
)

type object = map[string]any

var kept = []string{"x-kubernetes-patch-merge-key", "x-kubernetes-patch-strategy", "x-kubernetes-list-map-keys"}

func main() {
	text, err := json.Marshal(openapi.Schema())
	if err != nil {
		log.Fatal(err)
	}
	var document struct{ Definitions map[string]object }
	if err := json.Unmarshal(text, &document); err != nil {
		log.Fatal(err)
	}
	all := document.Definitions

	// A definition matters if a list in it, or in what it refers to, is merged.
	matters := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for name, definition := range all {
			for _, property := range properties(definition) {
				if !matters[name] && (property[kept[1]] != nil || matters[reference(property)]) {
					matters[name], changed = true, true
				}
			}
		}
	}

	pruned := map[string]object{}
	var visit func(name string)
	visit = func(name string) {
		if pruned[name] != nil || !matters[name] {
			return
		}
		result := object{}
		pruned[name] = object{"properties": result}
		if kinds := all[name]["x-kubernetes-group-version-kind"]; kinds != nil {
			pruned[name]["x-kubernetes-group-version-kind"] = kinds
		}
		for key, property := range properties(all[name]) {
			target := reference(property)
			if property[kept[1]] == nil && !matters[target] {
				continue
			}
			short := object{}
			for _, extension := range kept {
				if property[extension] != nil {
					short[extension] = property[extension]
				}
			}
			for _, part := range []string{"items", "additionalProperties", "$ref", "type"} {
				if property[part] != nil {
					short[part] = property[part]
				}
			}
			if items, ok := property["items"].(object); ok && !matters[target] {
				short["items"] = object{"type": or(items["type"], "object")}
			}
			result[key] = short
			visit(target)
		}
	}
	for name, definition := range all {
		if definition["x-kubernetes-group-version-kind"] != nil && !strings.HasSuffix(name, "List") {
			visit(name)
		}
	}

	encoder := json.NewEncoder(os.Stdout)
	err = encoder.Encode(object{
		"info":        object{"title": "written by tools/merge-keys from kyaml v0.21.1 (Kustomize 5.8.1)"},
		"definitions": pruned,
	})
	if err != nil {
		log.Fatal(err)
	}
}

func properties(definition object) map[string]object {
	result := map[string]object{}
	all, _ := definition["properties"].(object)
	for key, property := range all {
		result[key] = property.(object)
	}
	return result
}

// reference is the name of the definition that a property refers to, directly, as its items or as its values.
func reference(property object) string {
	places := []any{property, property["items"], property["additionalProperties"]}
	for _, place := range places {
		if part, ok := place.(object); ok {
			if ref, ok := part["$ref"].(string); ok {
				return ref[strings.LastIndex(ref, "/")+1:]
			}
		}
	}
	return ""
}

func or(value, otherwise any) any {
	if value == nil {
		return otherwise
	}
	return value
}

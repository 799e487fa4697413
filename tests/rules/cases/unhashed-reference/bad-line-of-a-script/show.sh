#!/bin/sh
# What the daemons are told.
kubectl get configmap docker-api-config -o yaml

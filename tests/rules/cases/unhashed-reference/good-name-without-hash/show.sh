#!/bin/sh
kubectl get configmap build-settings -o yaml

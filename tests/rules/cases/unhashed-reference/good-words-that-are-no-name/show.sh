#!/bin/sh
# docker-api-config has the settings of the daemons.
cat /etc/docker-api-config/daemon.json
cat binderhub-config.yaml
echo settings of docker-api-config-old
kubectl get secret registry-credentials

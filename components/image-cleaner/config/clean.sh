#!/bin/sh
# Prunes what docker-api no longer needs, once its disk is fuller than THRESHOLD_PERCENT.
# `until=1h` spares the images and the cache of builds that are running or being pushed.
set -u
trap 'exit 0' TERM INT

full() {
  used=$(df -P /var/lib/docker-api | awk 'NR == 2 { sub("%", "", $5); print $5 }')
  [ "${used:-0}" -ge "$THRESHOLD_PERCENT" ]
}

while :; do
  if full; then
    echo "disk used: ${used}%, threshold ${THRESHOLD_PERCENT}%: pruning images"
    docker container prune --force --filter until=1h
    docker image prune --all --force --filter until=1h
  fi
  if full; then
    echo "disk used: ${used}%, threshold ${THRESHOLD_PERCENT}%: pruning the build cache"
    docker builder prune --all --force --filter until=1h
  fi
  # In the background, because a shell handles no signal while it waits for a foreground command.
  sleep "$INTERVAL_SECONDS" &
  wait $!
done

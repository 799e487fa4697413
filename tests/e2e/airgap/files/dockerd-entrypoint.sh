#!/bin/sh
# What the entry point of Docker's dind image does where the first argument is dockerd: nothing of a daemon
# that was killed stays in the way, and there is no listener but those that the arguments name.
find /run /var/run -iname 'docker*.pid' -delete 2>/dev/null
exec "$@"

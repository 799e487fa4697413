set -eu
echo "$(date): builds of the last day, for ${RECIPIENT}"

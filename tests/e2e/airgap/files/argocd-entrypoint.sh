#!/bin/sh
# tini is the entry point of the image already.
exec "$@"

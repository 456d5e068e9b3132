#!/bin/sh
# Makes the site's folder. Its name comes from the saga, so that a second try makes the same one.
set -eu
dir="${SITES:-/tmp/walkback-sites}/$WALKBACK_SAGA_ID"
mkdir -p "$dir"
printf '{"dir": "%s"}\n' "$dir"

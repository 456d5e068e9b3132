#!/bin/sh
# Writes a page of the site. With BREAK=PAGE it writes that page and then fails, as machines do.
set -eu
page="${SITES:-/tmp/walkback-sites}/$WALKBACK_SAGA_ID/$1"
printf '<h1>%s</h1>\n' "$1" > "$page"
sleep 1
if [ "${BREAK:-}" = "$1" ]; then
    echo "$1 was to break" >&2
    exit 1
fi
printf '{"%s": "%s"}\n' "${1%.html}" "$page"

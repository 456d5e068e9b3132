#!/bin/sh
# Removes a page of the site; that it is gone already is success.
set -eu
rm -f "${SITES:-/tmp/walkback-sites}/$WALKBACK_SAGA_ID/$1"

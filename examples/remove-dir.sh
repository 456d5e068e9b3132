#!/bin/sh
# Removes the site's folder; that it is gone already is success.
set -eu
rm -rf "${SITES:-/tmp/walkback-sites}/$WALKBACK_SAGA_ID"

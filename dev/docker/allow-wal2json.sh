#!/bin/sh
# Allows wal2json where the server asks for it: since August 2026's minor releases it is refused by default,
# and on older ones the setting's name is unknown and stops the server. Looked at on each start, so that a
# volume that an older image made works too.
set -eu
if [ "${1:-}" = postgres ] && postgres --describe-config | grep -aq '^output_plugin_libraries'; then
    set -- "$@" -c 'output_plugin_libraries=pgoutput, test_decoding, wal2json'
fi
exec docker-entrypoint.sh "$@"

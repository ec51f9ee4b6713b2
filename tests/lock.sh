#!/usr/bin/env bash
# Resolves the dependencies anew, for every supported Python and platform, with hashes and without
# any index's address. Extras stay in the lock: what asks for `name[extra]` finds it pinned.
# A package without a wheel is refused, as it is at the installation; the one exception is yattag, which
# cosmic-ray needs (see .cache/proof in the Makefile).
# Versions that the lock has already stay, unless an option such as `--upgrade` says otherwise:
#   tests/lock.sh .venv/bin [option of `uv pip compile` ...]
set -euo pipefail
bin="${1:-.venv/bin}"
options=("${@:2}")
cache=.cache/lock
[ -x "$cache/bin/uv" ] || { "$bin/python" -m venv "$cache" && "$cache/bin/pip" install --quiet uv; }
resolve() {
  SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-}}" "$cache/bin/uv" pip compile --quiet --universal \
    --python-version 3.11 --only-binary :all: --generate-hashes --no-strip-extras \
    --no-emit-index-url --no-emit-find-links --no-header "$@"
}
resolve pyproject.toml --extra voice --extra dev "${options[@]}" --output-file requirements-dev.txt
resolve pyproject.toml --constraint requirements-dev.txt --output-file requirements.txt
resolve pyproject.toml --extra proof --constraint requirements-dev.txt --no-binary yattag \
  "${options[@]}" --output-file requirements-proof.txt
printf 'setuptools\ncython\n' |
  resolve - --constraint requirements-dev.txt --output-file deploy/requirements-build.txt

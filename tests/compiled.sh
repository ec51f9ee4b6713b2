#!/usr/bin/env bash
# Copies the code and its tests to a directory and compiles the way of a frame there, as in a wheel.
# What has not changed is not compiled again; what is gone here is gone there.
set -euo pipefail
python="$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
target="$2"
mkdir -p "$target/app"
ln -sfn .. "$target/.cache" # what tests install is shared
rm -rf "$target/tests" "$target/blackbox_relay"
find "$target/app" \( -name '*.py' -o -name '*.pxd' \) -delete
tar --create --exclude node_modules --exclude __pycache__ --exclude '*.egg-info' \
  app blackbox_relay tests deploy docs pyproject.toml setup.py README.md LICENSE .env.example | tar --extract --directory "$target"
cd "$target"
find app -name '*.so' | while read -r library; do
  [ -e "${library%%.*}.pxd" ] || rm "$library"
done
BLACKBOX_RELAY_COMPILE=required "$python" setup.py --quiet build_ext --inplace --parallel 2

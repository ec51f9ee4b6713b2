#!/usr/bin/env bash
# Copies the working tree, without what git ignores, to a directory that keeps its own environment.
set -euo pipefail
target="$1"
mkdir -p "$target"
find "$target" -mindepth 1 -maxdepth 1 ! -name .venv ! -name .cache -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
  tar --create --null --files-from - | tar --extract --directory "$target"

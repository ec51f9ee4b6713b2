#!/usr/bin/env bash
# Sees to the programs that tests need beside Python: installs what is missing where it may
# (Debian, as root), and says what to install where it may not. Lines of the list: command package.
set -euo pipefail
list="$1"
missing=()
while read -r program package; do
  case "$program" in '' | \#*) continue ;; esac
  PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || missing+=("$package")
done <"$list"
[ "${#missing[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "The tests need programs that are missing. Please install: ${missing[*]}" >&2
  exit 1
fi

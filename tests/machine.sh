#!/usr/bin/env bash
# Sees to the programs that tests need beside Python: installs what is missing where it may
# (Debian, as root), and says what to install where it may not: tests/machine.sh PYTHON LIST...
# Lines of a list: a command or the pattern of a file's path, and the package. Beside them, the C
# headers of that Python, which a compiled build needs.
set -euo pipefail
python="$1"
found() {
  case "$1" in
    /*) compgen -G "$1" >/dev/null ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
  esac
}
missing=()
while read -r program package; do
  case "$program" in '' | \#*) continue ;; esac
  found "$program" || missing+=("$package")
done < <(cat "${@:2}")
# Debian's interpreters have their headers in a package; others come with them.
read -r headers version < <("$python" -c 'import sys, sysconfig
print(sysconfig.get_path("include"), "%d.%d" % sys.version_info[:2])')
found "$headers/Python.h" || missing+=("python$version-dev")
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

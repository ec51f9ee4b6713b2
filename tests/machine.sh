#!/usr/bin/env bash
# Sees to the programs that tests need beside Python: installs what is missing where it may
# (Debian, as root), and says what to install where it may not: tests/machine.sh PYTHON LIST...
# Lines of a list: a command or the pattern of a file's path, the package, and `optional` if the
# tests only run faster with it: without it they run too. Beside them, the C headers of that
# Python, which a compiled build needs.
set -euo pipefail
python="$1"
found() {
  case "$1" in
    /*) compgen -G "$1" >/dev/null ;;
    *) PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null ;;
  esac
}
apt() {
  timeout 600 apt-get -qq -o Acquire::http::Timeout=20 "$@" >/dev/null
}
missing=()
optional=()
while read -r program package need; do
  case "$program" in '' | \#*) continue ;; esac
  found "$program" && continue
  if [ "$need" = optional ]; then optional+=("$package"); else missing+=("$package"); fi
done < <(cat "${@:2}")
# Debian's interpreters have their headers in a package; others come with them.
read -r headers version < <("$python" -c 'import sys, sysconfig
print(sysconfig.get_path("include"), "%d.%d" % sys.version_info[:2])')
found "$headers/Python.h" || missing+=("python$version-dev")
[ "$((${#missing[@]} + ${#optional[@]}))" -eq 0 ] && exit 0
export DEBIAN_FRONTEND=noninteractive
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  [ "${#missing[@]}" -eq 0 ] && exit 0
  echo "The tests need programs that are missing. Please install: ${missing[*]}" >&2
  exit 1
fi
echo "installing: ${missing[*]} ${optional[*]}"
apt update || [ "${#missing[@]}" -eq 0 ]
[ "${#missing[@]}" -eq 0 ] || apt install -y --no-install-recommends "${missing[@]}"
for package in "${optional[@]}"; do
  apt install -y --no-install-recommends "$package" || echo "going on without $package" >&2
done

#!/usr/bin/env bash
# Looks up every locked runtime dependency among the known vulnerabilities (pip-audit, which asks
# PyPI's advisory database). Nothing is installed but pip-audit itself, in a directory of its own.
#   deploy/audit.sh .venv/bin [option of pip-audit ...]
# Ends with 0 if none is known, 1 if some are (each is named with the version that mends it), and 2
# where the database or pip-audit cannot be reached: then nothing is known to be checked.
set -euo pipefail
bin="${1:-.venv/bin}"
options=("${@:2}")
tool=.cache/audit
report="$(mktemp)"
trap 'rm -f "$report"' EXIT
unchecked() {
  echo "make audit could not check: $1. Run it where pypi.org can be reached, in CI for example." >&2
  exit 2
}
if [ ! -x "$tool/bin/pip-audit" ]; then
  "$bin/python" -m venv --without-pip "$tool"
  "$bin/python" -m pip --python "$tool/bin/python" --disable-pip-version-check install --quiet \
    --only-binary :all: "pip-audit>=2.10,<3" 2>/dev/null ||
    { rm -rf "$tool"; unchecked "pip-audit could not be installed from the package index"; }
fi
status=0
timeout 300 "$tool/bin/pip-audit" --requirement requirements.txt --require-hashes --disable-pip \
  --progress-spinner off --timeout 20 --format json --output "$report" "${options[@]}" || status=$?
# A report is written only where every package was looked up.
[ -s "$report" ] || unchecked "the vulnerability database could not be asked"
"$bin/python" - "$report" <<'PYTHON' || status=$?
import json
import sys

packages = json.load(open(sys.argv[1]))["dependencies"]
known = [(package, found) for package in packages for found in package.get("vulns", ())]
for package, found in known:
    mended = ", ".join(found["fix_versions"]) or "no release"
    print(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}")
skipped = [package for package in packages if "skip_reason" in package]
print(f"{len(packages) - len(skipped)} packages looked up, {len(known)} known vulnerabilities")
# A mirror of an index has the packages and no advisories: that is no clean result.
sys.exit(2 if skipped or not packages else bool(known))
PYTHON
[ "$status" -ne 2 ] || unchecked "some packages could not be looked up (a mirror has no advisories)"
exit "$status"

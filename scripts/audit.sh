#!/bin/sh
# Known holes in the installed packages, by pip-audit and the advisories that PyPI publishes.
# Where those cannot be had, says so and ends well: pip-audit itself would find no holes then. It is
# asked for a version of pip that has some. pip-audit has a folder of its own, since it brings thirty
# packages that nothing else needs.
set -e
has_advisories='
import json, sys, urllib.request
try:
    with urllib.request.urlopen("https://pypi.org/pypi/pip/20.0/json", timeout=10) as answer:
        json.load(answer)["vulnerabilities"][0]
except Exception as error:
    sys.exit(f"The installed packages were not audited: PyPI gives no advisories here ({error}).")
'
.venv/bin/python -c "$has_advisories" || exit 0
if [ ! -x .venv/audit/bin/pip-audit ]; then
  .venv/bin/python -m venv .venv/audit
  .venv/audit/bin/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10,<3'
fi
.venv/audit/bin/pip-audit --progress-spinner off --skip-editable \
  --path "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

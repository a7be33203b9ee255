#!/usr/bin/env bash
# Build a tree's site and pack what a machine without a network needs to measure and test it:
#
#     tests/bench/gpu/pack_site.sh TREE OUT.tar.xz
#
# TREE has .venv and web/node_modules (after `make setup`). Nano's models and the tiny ones of tests/vectors stay
# out: they lie in every checkout, and the session takes them from where it is started. Everything else is in: the built site, the Python packages,
# the runtime and the rendered kernels for tests, the tests with their small vectors.
set -euo pipefail
tree=$(realpath "$1")
out=$(realpath -m "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$tree"
PYTHONPATH=pyapp:build .venv/bin/python -m leadout_build.cli build --out "$work/dist" >/dev/null
rm -rf "$work/dist/models" "$work/dist/nano/model" "$work/dist/screenshot.png"
git ls-files pyapp build web tests static pyproject.toml LICENSE NOTICE README.md |
    grep -vE '\.(gguf|png|npz|safetensors)$|^tests/(unit|browser)/|^build/leadout_build/site/licences/' >"$work/list"
git ls-files --others --exclude-standard pyapp build web tests static >>"$work/list"
tar -cf "$work/site.tar" --ignore-failed-read -T "$work/list"
tar -rf "$work/site.tar" -C "$work" dist
# Pure Python that a bare machine may lack.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir "$work/wheels"
for name in filelock jinja2 markupsafe pytest _pytest pluggy iniconfig packaging pytest_asyncio pygments \
    gguf yaml; do
    cp -r "$site/$name" "$work/wheels/" 2>/dev/null || true
done
for name in "$site"/pytest-*.dist-info "$site"/pytest_asyncio-*.dist-info "$site"/pluggy-*.dist-info \
    "$site"/iniconfig-*.dist-info; do cp -r "$name" "$work/wheels/" 2>/dev/null || true; done
find "$work/wheels" \( -name __pycache__ -o -name '*.so' \) -prune -exec rm -rf {} +
tar -rf "$work/site.tar" -C "$work" wheels
git rev-parse --short HEAD >"$work/commit" 2>/dev/null || echo unknown >"$work/commit"
tar -rf "$work/site.tar" -C "$work" commit
xz -T0 -4 -c "$work/site.tar" >"$out"
ls -l "$out"

#!/usr/bin/env bash
# Pack native llama.cpp (npm's node-llama-cpp, its Vulkan binary) and what writes a GGUF, for a machine without
# a network:
#
#     tests/bench/gpu/pack_llama.sh OUT.tar.xz
#
# Needs npm with its registry, and gguf in .venv. About 20 MB.
set -euo pipefail
out=$(realpath -m "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=${LLAMA_WORK:-$(mktemp -d)}
cd "$work"
[ -d node_modules/node-llama-cpp ] || npm install --no-save --no-audit --no-fund --ignore-scripts \
    "node-llama-cpp@${NODE_LLAMA_CPP_VERSION:-3}" >/dev/null
rm -rf llama && mkdir -p llama
tar -cf - --exclude='node_modules/@node-llama-cpp/linux-[!x]*' --exclude='node_modules/@node-llama-cpp/linux-x64' \
    --exclude='node_modules/@node-llama-cpp/linux-x64-cuda*' --exclude='node_modules/@reflink' \
    --exclude='*.bundle' --exclude='*.map' --exclude='*.d.ts' --exclude='*.md' \
    --exclude='node_modules/node-llama-cpp/templates' --exclude='node_modules/node-addon-api' \
    --exclude='node_modules/node-api-headers' --exclude='node_modules/cmake-js' node_modules | tar -C llama -xf -
site=$("$here/../../../.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir llama/python
cp -r "$site/gguf" "$site/yaml" llama/python/
find llama/python \( -name __pycache__ -o -name '*.so' \) -prune -exec rm -rf {} +
cp "$here/llama_bench.mjs" "$here/gguf_e2b.py" llama/
tar -cf - llama | xz -T0 -3 >"$out"
ls -l "$out"

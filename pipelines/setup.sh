# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by pipelines/* and tests/run: installs what is missing and builds into build/.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." >/dev/null && pwd)
build=${FUSION_BUILD:-$root/build}

# Debian packages: to build and run; to play any file; to test; to draw scenes (meson's option scenes, and
# what model/scenes/assets/make_pack.py reads).
packages_build=(gcc libc6-dev pkg-config meson ninja-build glslang-tools
    libglib2.0-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libcjson-dev
    libvulkan-dev libpango1.0-dev libmosquitto-dev libssl-dev librdkafka-dev)
packages_run=(mesa-vulkan-drivers gstreamer1.0-tools gstreamer1.0-plugins-base
    gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-x fonts-dejavu-core
    python3 python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-base-1.0)
packages_any_file=(gstreamer1.0-libav)
packages_test=(libgstreamer-plugins-bad1.0-dev vulkan-validationlayers libopenblas-dev libcairo2-dev
    mosquitto openssl python3-numpy python3-cairo python3-torch
    gir1.2-gst-rtsp-server-1.0 gstreamer1.0-opencv opencv-data)
packages_scenes=(libjpeg62-turbo-dev libpng-dev zlib1g-dev sweethome3d-furniture libmeshoptimizer2d
    python3-pil fonts-liberation2 fonts-roboto-unhinted)

# begin_log, end_log: $log is a file for what a step prints; it goes however the script ends.
log=
trap '[ -z "$log" ] || rm -f "$log"' EXIT
begin_log() {
    log=$(mktemp)
}
end_log() {
    rm -f "$log"
    log=
}

say() {
    printf '\033[1m==>\033[0m %s\n' "$*"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# help_if_asked ARGUMENT...: if the first one is -h or --help, prints what the script's head says, and ends it.
help_if_asked() {
    case "${1:-}" in
    -h | --help) sed -n '4,/^[^#]/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    esac
}

# quoted TEXT: as gst-launch-1.0 reads the value of a property, whatever is in it.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

# need_packages NAME...: installs those that are missing (Debian and its like), else says what to install.
need_packages() {
    local missing=() p
    if ! command -v dpkg-query >/dev/null; then
        command -v meson >/dev/null && command -v gst-launch-1.0 >/dev/null && return 0
        die "this is not a Debian system: install the counterparts of these packages first: $*"
    fi
    for p in "$@"; do
        # One line for each architecture that it is known for.
        dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return 0

    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "these packages are missing and there is no sudo; as root run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing ${#missing[@]} Debian packages (some minutes): ${missing[*]}"
    begin_log
    if ! { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        die "apt-get could not install them (its last lines are above)"
    fi
    end_log
}

# build_project [MESON OPTION...]: configures (anew where options are given), builds what changed.
build_project() {
    begin_log
    if [ ! -f "$build/build.ninja" ]; then
        say "configuring $build"
        meson setup "$build" "$root" "$@" >"$log" 2>&1 ||
            { tail -n 30 "$log" >&2; die "meson setup failed (its last lines are above)"; }
    elif [ $# -gt 0 ]; then
        # An earlier command may have configured it for less.
        meson configure "$build" "$@" >"$log" 2>&1 ||
            { tail -n 30 "$log" >&2; die "meson configure failed (its last lines are above)"; }
    fi
    say "building (the first time takes a minute or two)"
    ninja -C "$build" >"$log" 2>&1 ||
        { tail -n 40 "$log" >&2; die "the build failed (its last lines are above)"; }
    end_log
}

# use_build: lets GStreamer and the shell find what was built here, whether or not it is installed too.
use_build() {
    export GST_PLUGIN_PATH="$build/plugin${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
    export PATH="$build/model/tools:$PATH"
    [ -f "$build/plugin/libgstfusion.so" ] || gst-inspect-1.0 --exists fusionvqa 2>/dev/null ||
        die "the plugin is neither built in $build nor installed: run pipelines/demo once, which builds it"
}

#!/bin/sh
# Builds both images, and with GPU=1 a third: build.sh BASE@sha256:… REGISTRY TAG. `make images` runs it.
set -eu
cd "$(dirname "$0")/../.."
base=$1 registry=$2 tag=$3
case $base in
*@sha256:????????????????????????????????????????????????????????????????) ;;
*)
	echo "BASE is ${base:-not given}: give a Debian image with Python 3.11 to 3.13 and its digest, such as BASE=python:3.11-slim-bookworm@sha256:…" >&2
	echo "(docker buildx imagetools inspect python:3.11-slim-bookworm shows today's digest)." >&2
	exit 2
	;;
esac
engine=$(command -v "${ENGINE:-docker}" || command -v podman) || { echo "There is neither docker nor podman here." >&2; exit 2; }
# docker finds the list of what is not sent beside the Dockerfile; podman before 5 has to be told.
case $engine in
*/podman) ignore=--ignorefile=helm/images/Dockerfile.dockerignore ;;
*) ignore= ;;
esac
mkdir -p build

kinds="user hub${GPU:+ gpu}"
for kind in $kinds; do
	"$engine" build $ignore --file helm/images/Dockerfile --build-arg "BASE=$base" --target $kind --tag "$registry/$kind:$tag" .
	"$engine" run --rm --entrypoint cat "$registry/$kind:$tag" /opt/geodes-lab/versions.json >"build/versions-$kind.json"
	"$engine" run --rm --entrypoint cat "$registry/$kind:$tag" /opt/geodes-lab/sbom.json >"build/sbom-$kind.json"
done
for kind in $kinds; do
	cmp build/versions-user.json "build/versions-$kind.json" || { echo "The images user and $kind differ in what must be equal." >&2; exit 1; }
	echo "$registry/$kind:$tag; build/sbom-$kind.json says what is in it"
done

#!/bin/sh
# A post-renderer of helm: makes dask-gateway's three pods "restricted", for which its chart has no values. It needs kubectl.
# Helm 4: helm plugin install helm/restricted, then --post-renderer geodes-lab-restricted; Helm 3: --post-renderer helm/restricted/restrict.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here/kustomization.yaml" "$folder"
cat >"$folder/rendered.yaml"
# One that is not there any more would be patched by nobody, in silence.
for name in api controller traefik; do
  grep -q "^  name: $name-dask-gateway\$" "$folder/rendered.yaml" || { echo "restrict.sh: there is no deployment $name-dask-gateway: dask-gateway.fullnameOverride must be dask-gateway, and dask-gateway.enabled true." >&2; exit 1; }
done
"${KUBECTL:-kubectl}" kustomize "$folder"

{{- /* Who talks to whom, in the words of policies: a peer for each kind of pod, and addresses outside. */ -}}
{{- define "lab.peer" -}}
{{- $root := index . 0 }}{{- $who := index . 1 -}}
{{- if has $who (list "hub" "proxy" "singleuser-server") -}}
podSelector: {matchLabels: {app: jupyterhub, component: {{ $who }}, release: {{ $root.Release.Name }}}}
{{- else if has $who (list "dask-scheduler" "dask-worker") -}}
podSelector: {matchLabels: {app.kubernetes.io/component: {{ $who }}}, matchExpressions: [{key: gateway.dask.org/cluster, operator: Exists}]}
{{- else if eq $who "dask" -}}
podSelector: {matchExpressions: [{key: gateway.dask.org/cluster, operator: Exists}, {key: app.kubernetes.io/component, operator: In, values: [dask-scheduler, dask-worker]}]}
{{- else if eq $who "gateway" -}}
podSelector: {matchLabels: {app.kubernetes.io/name: dask-gateway}, matchExpressions: [{key: app.kubernetes.io/component, operator: In, values: [gateway, api]}]}
{{- else if has $who (list "controller" "traefik") -}}
podSelector: {matchLabels: {app.kubernetes.io/name: dask-gateway, app.kubernetes.io/component: {{ $who }}}}
{{- else if eq $who "services" -}}
podSelector: {matchLabels: {app.kubernetes.io/name: geodes-lab, app.kubernetes.io/instance: {{ $root.Release.Name }}}, matchExpressions: [{key: app.kubernetes.io/component, operator: In, values: {{ keys (include "lab.services" $root | fromYaml) | sortAlpha | toJson }}}]}
{{- else -}}
podSelector: {matchLabels: {app.kubernetes.io/name: geodes-lab, app.kubernetes.io/instance: {{ $root.Release.Name }}, app.kubernetes.io/component: {{ $who }}}}
{{- end -}}
{{- end }}

{{- define "lab.rule" -}}
{{- /* (list root "to" or "from" (list of peers) (list of ports)) */ -}}
{{- $root := index . 0 -}}
- {{ index . 1 }}:
    {{- range index . 2 }}
    - {{ include "lab.peer" (list $root .) }}
    {{- end }}
  ports: [{{ range $i, $p := index . 3 }}{{ if $i }}, {{ end }}{port: {{ $p }}, protocol: TCP}{{ end }}]
{{- end }}

{{- define "lab.internet" -}}
{{- /* Public addresses: not those of the cluster, of the house, nor the metadata of the cloud. */ -}}
{{- if .Values.network.internet -}}
- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, 169.254.0.0/16]}}]
{{- end -}}
{{- end }}

{{- define "lab.outside" -}}
{{- /* A list of {cidr, ports}; the metadata of the cloud is in none of them. */ -}}
{{- range . }}
- to: [{ipBlock: {cidr: {{ .cidr }}{{ if eq .cidr "0.0.0.0/0" }}, except: [169.254.0.0/16]{{ end }}}}]
  ports: [{{ range $i, $p := .ports }}{{ if $i }}, {{ end }}{port: {{ $p }}, protocol: TCP}{{ end }}]
{{- end -}}
{{- end }}

{{- define "lab.addresses" -}}
{{- range . }}, {ipBlock: {cidr: {{ . }}}}{{ end -}}
{{- end }}

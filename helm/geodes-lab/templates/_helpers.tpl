{{- define "lab.labels" -}}
app.kubernetes.io/name: geodes-lab
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "lab.pods" -}}
{{- /* By these pods are found: (list root component). */ -}}
app.kubernetes.io/name: geodes-lab
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "lab.image" -}}
image: {{ .Values.image.name }}:{{ .Values.image.tag }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end }}

{{- define "lab.tag" -}}
{{- /* Of a tag such as "0.1.0@sha256:…", or of an image such as "registry:5000/name:0.1.0@sha256:…"; empty, if it has none. */ -}}
{{- $name := splitList "@" . | first | splitList "/" | last -}}
{{- if contains ":" $name }}{{ splitList ":" $name | last }}{{ else if not (contains "/" .) }}{{ $name }}{{ end -}}
{{- end }}

{{- define "lab.pod" -}}
{{- /* What every pod of ours is: nobody's account of the cluster, no root, no more than it needs. */ -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "lab.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true   # what is written lies in volumes, and in /tmp
  capabilities: {drop: [ALL]}
workingDir: /tmp
{{- end }}

{{- define "lab.origin" -}}
{{- /* Scheme and host of a service, as Lab.origin makes them and JupyterHub does: (list root service). */ -}}
{{- $public := urlParse (index . 0).Values.lab.address -}}
{{ $public.scheme }}://{{ index . 1 }}--service.{{ $public.host }}
{{- end }}

{{- define "lab.settings" -}}
{{- /* The environment that every program of the lab needs. */ -}}
- {name: HOME, value: /tmp}
- {name: PYTHONSAFEPATH, value: "1"}   # nothing is imported from the folder where a program runs, which is /tmp
- {name: GEODES_LAB_SETTINGS, value: /etc/geodes-lab/lab/lab.yaml}
- {name: GEODES_LAB_STATE, value: {{ .Values.lab.state }}}
- {name: GEODES_LAB_ADDRESS, value: {{ .Values.lab.address | quote }}}
{{- with .Values.lab.datalake.endpoint }}
- {name: DASK_GEODES_LAB__DATALAKE__ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with .Values.datalake.authority.configMap }}
- {name: DASK_GEODES_LAB__DATALAKE__CA, value: /etc/geodes-lab/authority/{{ $.Values.datalake.authority.key }}}
{{- end }}
{{- end }}

{{- define "lab.services" -}}
{{- /* The services of hub/services/services.yaml that have an address, each in the size that the values say; "there": whether it is started. */ -}}
{{- $services := dict -}}
{{- range $name, $service := .Files.Get "files/services.yaml" | fromYaml -}}
{{- if $service.pod -}}
{{- $there := or (not $service.if_gate) (default false $.Values.lab.datalake.gate) -}}
{{- $pod := mergeOverwrite (deepCopy $service.pod) (get $.Values.services $name | default dict) -}}
{{- $_ := set $services $name (mergeOverwrite (deepCopy $service) (dict "pod" $pod "there" $there)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $services -}}
{{- end }}

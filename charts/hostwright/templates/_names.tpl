{{/* Name of the program in labels. */}}
{{- define "hostwright.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the objects: the release's, with the chart's when the release is not named after it. */}}
{{- define "hostwright.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "hostwright.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Name of cluster-wide objects: two releases in two namespaces must not share them. */}}
{{- define "hostwright.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "hostwright.fullname" .) -}}
{{- end -}}

{{/* Labels that find the pods; they never change for a release. */}}
{{- define "hostwright.selector" -}}
app.kubernetes.io/name: {{ include "hostwright.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "hostwright.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "hostwright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Whether replicas elect a leader: "true" or nothing. Two that do not could both take the same free address. */}}
{{- define "hostwright.elects" -}}
{{- if or .Values.leaderElection.enabled (gt (int .Values.replicaCount) 1) -}}
true
{{- else if eq .Values.updateStrategy "RollingUpdate" -}}
{{- fail "updateStrategy RollingUpdate lets two replicas run at a time, which needs leaderElection.enabled" -}}
{{- end -}}
{{- end -}}

{{/* The image by digest, else by tag. */}}
{{- define "hostwright.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The only namespace that the operator serves; nothing when it serves all, ? when only the pod will know. */}}
{{- define "hostwright.served" -}}
{{- range .Values.extraEnv -}}
{{- if eq (toString .name) "HOSTWRIGHT_WATCH_NAMESPACE" -}}
{{- if .valueFrom }}?{{ else }}{{ .value }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

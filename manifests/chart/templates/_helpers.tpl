{{/* Names. Everything of a release begins with its full name. */}}

{{- define "streamgate.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $joined := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $joined | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "streamgate.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "streamgate.adapter" -}}{{ include "streamgate.fullname" . }}-adapter{{- end -}}
{{- define "streamgate.recommender" -}}{{ include "streamgate.fullname" . }}-recommender{{- end -}}
{{- define "streamgate.rollout" -}}{{ include "streamgate.fullname" . }}-rollout{{- end -}}
{{- define "streamgate.console" -}}{{ include "streamgate.fullname" . }}-console{{- end -}}

{{- define "streamgate.account" -}}
{{- $account := .values.serviceAccount -}}
{{- $account.name | default (ternary (include (printf "streamgate.%s" .program) .root) "default" $account.create) -}}
{{- end -}}

{{/* A version as labels and images' tags have it, which know no "+". */}}
{{- define "streamgate.version" -}}{{ . | replace "+" "_" | trunc 63 | trimAll "-_." }}{{- end -}}

{{/* What the following take: (dict "root" $ "program" "adapter" "values" the program's own). */}}

{{- define "streamgate.selector" -}}
app.kubernetes.io/name: streamgate-{{ .program }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end -}}

{{- define "streamgate.labels" -}}
{{ include "streamgate.selector" . }}
app.kubernetes.io/version: {{ include "streamgate.version" .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | include "streamgate.version" }}
{{- with merge (dict) (.labels | default dict) (.root.Values.customLabels | default dict) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* labels and annotations of an object; `annotations` and `labels` are more of them. */}}
{{- define "streamgate.about" -}}
labels:
  {{- include "streamgate.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.customAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* name (with `suffix`), and the rest, of an object in the release's namespace or, with `cluster`, in none. */}}
{{- define "streamgate.metadata" -}}
name: {{ .name | default (printf "%s%s" (include (printf "streamgate.%s" .program) .root) (.suffix | default "")) | quote }}
{{- if not .cluster }}
namespace: {{ .namespace | default (include "streamgate.namespace" .root) | quote }}
{{- end }}
{{ include "streamgate.about" . }}
{{- end -}}

{{- define "streamgate.serviceaccount" -}}
{{- if .values.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- $named := dict "name" (include "streamgate.account" .) "annotations" .values.serviceAccount.annotations }}
  {{- include "streamgate.metadata" (merge (dict) $named .) | nindent 2 }}
automountServiceAccountToken: {{ .values.serviceAccount.automountServiceAccountToken | default false }}
{{- end }}
{{- end -}}

{{/* A binding of ClusterRole `role`, for the whole cluster, to the program's account or to `subjects`. */}}
{{- define "streamgate.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  {{- include "streamgate.metadata" (merge (dict "cluster" true) .) | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .role | default .name | quote }}}
subjects:
{{- if .subjects }}
{{ toYaml .subjects }}
{{- else }}
{{ include "streamgate.subject" . }}
{{- end }}
{{- end -}}

{{- define "streamgate.subject" -}}
- {kind: ServiceAccount, name: {{ include "streamgate.account" . | quote }}, namespace: {{ include "streamgate.namespace" .root | quote }}}
{{- end -}}

{{/* A ClusterRole called `name`, and what binds it to the program; its rules follow in the template that includes it. */}}
{{- define "streamgate.role" -}}
{{ include "streamgate.binding" . }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  {{- include "streamgate.metadata" (merge (dict "cluster" true) .) | nindent 2 }}
{{- end -}}

{{/* The lease of who leads: a Role in the release's namespace, and its binding. */}}
{{- define "streamgate.lease" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  {{- include "streamgate.metadata" . | nindent 2 }}
rules:
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include (printf "streamgate.%s" .program) .root }}]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "streamgate.metadata" . | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ include (printf "streamgate.%s" .program) .root }}}
subjects:
{{ include "streamgate.subject" . }}
{{- end -}}

{{/* Parts of a pod that all programs share; arguments as in _helpers.tpl. */}}

{{- define "streamgate.podMetadata" -}}
labels:
  {{- include "streamgate.selector" . | nindent 2 }}
  {{- with merge (dict) (.values.podLabels | default dict) (.root.Values.customLabels | default dict) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (.annotations | default dict) (.values.podAnnotations | default dict) (.root.Values.customAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "streamgate.podFields" -}}
serviceAccountName: {{ include "streamgate.account" . | quote }}
automountServiceAccountToken: {{ ternary .values.automountServiceAccountToken true (hasKey .values "automountServiceAccountToken") }}
{{- with .root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . | quote }}
{{- end }}
{{- end }}
{{- range $field := list "nodeSelector" "affinity" "tolerations" "priorityClassName" "dnsPolicy" "dnsConfig" }}
{{- with index $.values $field }}
{{ toYaml (dict $field .) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "streamgate.image" -}}
image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default (include "streamgate.version" .root.Chart.AppVersion) }}"
{{- with .root.Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end -}}

{{- define "streamgate.containerFields" -}}
{{- with .values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{- define "streamgate.moreArguments" -}}
{{- if not (kindIs "invalid" .values.logLevel) }}
- --v={{ .values.logLevel }}
{{- end }}
{{- with .values.extraArguments }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What the adapter's values mean together. Each is "true" or empty, but for the URL. */}}

{{- define "streamgate.ownRules" -}}
{{- if or .Values.rules.custom .Values.rules.external .Values.rules.resource -}}true{{- end -}}
{{- end -}}

{{- define "streamgate.rulesFile" -}}
{{- if or .Values.rules.existing (include "streamgate.ownRules" .) -}}true{{- end -}}
{{- end -}}

{{- define "streamgate.certificate" -}}
{{- if or .Values.tls.enable .Values.certManager.enabled -}}true{{- end -}}
{{- end -}}

{{- define "streamgate.customApi" -}}
{{- $found := or .Values.rules.existing .Values.rules.default .Values.rules.custom -}}
{{- if ternary $found .Values.apis.custom (kindIs "invalid" .Values.apis.custom) -}}true{{- end -}}
{{- end -}}

{{- define "streamgate.externalApi" -}}
{{- if ternary .Values.rules.external .Values.apis.external (kindIs "invalid" .Values.apis.external) -}}true{{- end -}}
{{- end -}}

{{- define "streamgate.resourceApi" -}}
{{- if ternary .Values.rules.resource .Values.apis.resource (kindIs "invalid" .Values.apis.resource) -}}true{{- end -}}
{{- end -}}

{{- define "streamgate.prometheusUrl" -}}
{{- $url := tpl .Values.prometheus.url . -}}
{{- $url }}{{ with .Values.prometheus.port }}:{{ . }}{{ end }}{{ .Values.prometheus.path -}}
{{- end -}}

{{- define "streamgate.replicas" -}}
{{- if kindIs "invalid" .Values.replicas -}}{{ ternary 1 2 (.Values.otlp.enabled | default false) }}{{- else -}}{{ .Values.replicas }}{{- end -}}
{{- end -}}

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
{{- if kindIs "invalid" .Values.replicas -}}{{ ternary 1 2 .Values.otlp.enabled }}{{- else -}}{{ .Values.replicas }}{{- end -}}
{{- end -}}

{{/* One sentence for values that do not go together. */}}
{{- define "streamgate.checks" -}}
{{- $rules := .Values.rules -}}
{{- $url := tpl .Values.prometheus.url . -}}
{{- if hasSuffix "/prometheus-adapter" .Values.image.repository -}}
{{- fail (printf "image.repository=%s is prometheus-adapter's: leave out image.repository and image.tag, or name ours" .Values.image.repository) -}}
{{- end -}}
{{- if and $url (not (regexMatch "^https?://[^/]" $url)) -}}
{{- fail (printf "prometheus.url=%s is no URL: http://HOST or https://HOST is wanted" $url) -}}
{{- end -}}
{{- if and .Values.prometheus.port (regexMatch "^https?://(\\[[^]]*\\]|[^\\[/:]*)[:/,]" $url) -}}
{{- fail (printf "prometheus.url=%s ends with more than the host, and prometheus.port=%v would be put behind it: set prometheus.port=null, or give the port and prometheus.path by themselves" $url .Values.prometheus.port) -}}
{{- end -}}
{{- if and .Values.prometheus.path (not (hasPrefix "/" .Values.prometheus.path)) -}}
{{- fail (printf "prometheus.path=%s must begin with /" .Values.prometheus.path) -}}
{{- end -}}
{{- if and $url .Values.otlp.enabled -}}
{{- fail "otlp.enabled and prometheus.url are two sources, and a push is only taken by the embedded one: leave prometheus.url empty" -}}
{{- end -}}
{{- if and .Values.otlp.enabled (gt (int (include "streamgate.replicas" .)) 1) -}}
{{- fail (printf "otlp.enabled wants one replica, as a push reaches only one: replicas is %v" .Values.replicas) -}}
{{- end -}}
{{- if and $rules.existing (include "streamgate.ownRules" .) -}}
{{- fail (printf "rules.existing=%s takes the place of rules.custom, rules.external and rules.resource: leave those empty" $rules.existing) -}}
{{- end -}}
{{- if not (or $rules.default (include "streamgate.rulesFile" .)) -}}
{{- fail "rules.default=false and no other rules leave nothing to serve: set rules.custom, rules.external, rules.resource or rules.existing" -}}
{{- end -}}
{{- if and (include "streamgate.ownRules" .) (include "streamgate.externalApi" .) (not $rules.external) -}}
{{- fail "apis.external=true needs rules.external: the rules file that the other rules make has no section for it" -}}
{{- end -}}
{{- if and (not (include "streamgate.rulesFile" .)) (include "streamgate.externalApi" .) -}}
{{- fail "apis.external=true needs rules.external or rules.existing: the built-in rules have nothing for it" -}}
{{- end -}}
{{- if and (include "streamgate.resourceApi" .) (not $rules.resource) (or $url (include "streamgate.ownRules" .)) (not $rules.existing) -}}
{{- fail "apis.resource=true needs rules.resource: the rules file, or Prometheus as the source, has nothing for it by itself" -}}
{{- end -}}
{{- if and .Values.tls.enable .Values.certManager.enabled -}}
{{- fail "tls.enable and certManager.enabled are two certificates: give one" -}}
{{- end -}}
{{- if and .Values.tls.enable (not (and .Values.tls.ca .Values.tls.certificate .Values.tls.key)) -}}
{{- fail "tls.enable needs tls.ca, tls.certificate and tls.key, each as PEM" -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- $least := not (kindIs "invalid" .minAvailable) -}}
{{- $most := not (kindIs "invalid" .maxUnavailable) -}}
{{- if and .enabled (eq $least $most) -}}
{{- fail "podDisruptionBudget wants one of minAvailable and maxUnavailable, and the other null" -}}
{{- end -}}
{{- end -}}
{{- end -}}

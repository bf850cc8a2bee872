{{/* One sentence for values that do not go together. What one value may be by itself, values.schema.json says. */}}

{{- define "streamgate.checks" -}}
{{- $full := include "streamgate.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- fail (printf "objects would be called %s-…, after the release, and a Service's name begins with a letter and has no dots: set fullnameOverride" $full) -}}
{{- end -}}
{{- include "streamgate.labelChecks" . -}}
{{- $dropIns := dict "dropIn" .Values.dropIn "recommender.dropIn" .Values.recommender.dropIn -}}
{{- range $path, $dropIn := $dropIns -}}
{{- if and $dropIn.enabled (not $.Values.rbac.create) -}}
{{- fail (printf "%s.enabled=true makes a ClusterRole and its binding and nothing else, and rbac.create=false wants none: leave one out" $path) -}}
{{- end -}}
{{- end -}}
{{- $programs := dict -}}
{{- if .Values.adapter.enabled -}}
{{- include "streamgate.adapterChecks" . -}}
{{- include "streamgate.budgetChecks" . -}}
{{- include "streamgate.podChecks" . -}}
{{- include "streamgate.certificateChecks" . -}}
{{- $_ := set $programs "" .Values -}}
{{- end -}}
{{- range $name := list "recommender" "rollout" "console" -}}
{{- $own := index $.Values $name -}}
{{- if $own.enabled -}}{{- $_ := set $programs (printf "%s." $name) $own -}}{{- end -}}
{{- end -}}
{{- range $prefix, $own := $programs -}}
{{- include "streamgate.resourceChecks" (dict "path" (printf "%sresources" $prefix) "resources" $own.resources) -}}
{{- range $own.extraArguments -}}
{{- if and (not $prefix) (regexMatch "^--?secure-port(=|$)" .) -}}
{{- fail (printf "extraArguments has %s, and the pod's ports and probes keep to listenPort=%v: set listenPort" . $.Values.listenPort) -}}
{{- end -}}
{{- if and $prefix (regexMatch "^--?address(=|$)" .) -}}
{{- fail (printf "%sextraArguments has %s, and the pod's port and probes keep to the chart's address: leave it out" $prefix .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that the chart sets itself: twice under one name they are no YAML, and selectors need ours. */}}
{{- define "streamgate.labelChecks" -}}
{{- $selectors := list "app.kubernetes.io/name" "app.kubernetes.io/instance" -}}
{{- $own := concat $selectors (list "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart") -}}
{{- $given := dict "podLabels" .Values.podLabels "customLabels" .Values.customLabels -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $_ := set $given (printf "%s.labels" $name) (index $.Values $name "labels") -}}
{{- end -}}
{{- range $name := list "recommender" "rollout" "console" -}}
{{- $_ := set $given (printf "%s.podLabels" $name) (index $.Values $name "podLabels") -}}
{{- end -}}
{{- range $path, $labels := $given -}}
{{- range $label := ternary $selectors $own (hasSuffix "podLabels" $path) -}}
{{- if hasKey ($labels | default dict) $label -}}
{{- fail (printf "%s has %s, which the chart sets itself: leave it out, or give the label another name" $path $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "streamgate.adapterChecks" -}}
{{- $rules := .Values.rules -}}
{{- $url := tpl (.Values.prometheus.url | default "") . -}}
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
{{- with .Values.metricsRelistInterval -}}
{{- if not (regexMatch "[1-9]" .) -}}
{{- fail (printf "metricsRelistInterval=%s must be above zero, such as 1m" .) -}}
{{- end -}}
{{- end -}}
{{- with .Values.service.ipDualStack -}}
{{- if and .enabled (eq .ipFamilyPolicy "SingleStack") (gt (len .ipFamilies) 1) -}}
{{- fail (printf "service.ipDualStack.ipFamilyPolicy=SingleStack takes one of ipFamilies, and %s are two" (join ", " .ipFamilies)) -}}
{{- end -}}
{{- end -}}
{{- range $index, $subject := .Values.observers -}}
{{- if and (eq $subject.kind "ServiceAccount") (not $subject.namespace) -}}
{{- fail (printf "observers[%d], the ServiceAccount %s, needs its namespace" $index $subject.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "streamgate.budgetChecks" -}}
{{- $replicas := int (include "streamgate.replicas" .) -}}
{{- with .Values.podDisruptionBudget -}}
{{- $least := not (kindIs "invalid" .minAvailable) -}}
{{- $most := not (kindIs "invalid" .maxUnavailable) -}}
{{- if and .enabled (eq $least $most) -}}
{{- fail "podDisruptionBudget wants one of minAvailable and maxUnavailable, and the other null" -}}
{{- end -}}
{{- if and .enabled $least -}}
{{- $text := toString .minAvailable -}}
{{- $kept := int $text -}}
{{- /* Kubernetes rounds a share up. */ -}}
{{- if hasSuffix "%" $text -}}{{- $kept = div (add (mul (trimSuffix "%" $text | int) $replicas) 99) 100 | int -}}{{- end -}}
{{- if and $replicas (ge $kept $replicas) -}}
{{- fail (printf "podDisruptionBudget.minAvailable=%s keeps all of replicas=%d, so that no drain ends: lower it, or say podDisruptionBudget.maxUnavailable=0 to mean that" $text $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.strategy -}}
{{- if and (ne (.type | default "") "Recreate") .rollingUpdate -}}
{{- $none := list "0" "0%" -}}
{{- if and (has (toString .rollingUpdate.maxUnavailable) $none) (has (toString .rollingUpdate.maxSurge) $none) -}}
{{- fail "strategy.rollingUpdate has 0 for both maxUnavailable and maxSurge, so that no pod could be replaced: raise one" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What an API server refuses of the adapter's pod, or what cannot listen beside what. */}}
{{- define "streamgate.podChecks" -}}
{{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- $handlers := list -}}
{{- range $handler := list "httpGet" "tcpSocket" "exec" "grpc" -}}
{{- if index $.Values $probe | default dict | dig $handler dict -}}{{- $handlers = append $handlers $handler -}}{{- end -}}
{{- end -}}
{{- if gt (len $handlers) 1 -}}
{{- fail (printf "%s has %s, and a probe has one of them: set the other null, such as %s.%s=null" $probe (join " and " $handlers) $probe (first $handlers)) -}}
{{- end -}}
{{- if and (index $.Values $probe) (not $handlers) -}}
{{- fail (printf "%s says nothing to ask: give it httpGet, tcpSocket, exec or grpc, or set %s=null" $probe $probe) -}}
{{- end -}}
{{- end -}}
{{- $ports := dict (toString (int .Values.listenPort)) "listenPort" -}}
{{- if .Values.otlp.enabled -}}
{{- range $port := list "4317" "4318" -}}
{{- if hasKey $ports $port -}}
{{- fail (printf "listenPort=%s is a port of otlp.enabled, which has 4317 and 4318: set another" $port) -}}
{{- end -}}
{{- $_ := set $ports $port "otlp.enabled" -}}
{{- end -}}
{{- end -}}
{{- range $container := .Values.extraContainers -}}
{{- range $container.ports -}}
{{- $port := toString (int .containerPort) -}}
{{- if and (hasKey $ports $port) (eq (.protocol | default "TCP") "TCP") -}}
{{- fail (printf "extraContainers has %s on port %s, which the adapter has by %s: containers of one pod share its ports" $container.name $port (get $ports $port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $volumes := list "tmp" -}}
{{- $mounts := list "/tmp" -}}
{{- if include "streamgate.rulesFile" . -}}
{{- $volumes = append $volumes "rules" -}}
{{- $mounts = append $mounts "/etc/adapter" -}}
{{- end -}}
{{- if include "streamgate.certificate" . -}}
{{- $volumes = append $volumes "tls" -}}
{{- $mounts = append $mounts "/etc/streamgate/tls" -}}
{{- end -}}
{{- range .Values.extraVolumes }}{{ $volumes = append $volumes .name }}{{ end -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "extraVolumeMounts has %s, and there are the volumes %s: add it to extraVolumes" .name (join ", " $volumes)) -}}
{{- end -}}
{{- $mounts = append $mounts (trimSuffix "/" (toString .mountPath)) -}}
{{- end -}}
{{- $containers := list "adapter" -}}
{{- range .Values.extraContainers }}{{ $containers = append $containers .name }}{{ end -}}
{{- $all := dict "extraVolumes" $volumes "extraVolumeMounts" $mounts "extraContainers" $containers -}}
{{- range $path, $names := $all -}}
{{- if ne (len $names) (len (uniq $names)) -}}
{{- fail (printf "%s gives something twice, the chart's own counted: %s" $path (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.dnsPolicy "None") (not (.Values.dnsConfig | default dict).nameservers) -}}
{{- fail "dnsPolicy=None needs dnsConfig.nameservers" -}}
{{- end -}}
{{- end -}}

{{- define "streamgate.certificateChecks" -}}
{{- if and .Values.tls.enable .Values.certManager.enabled -}}
{{- fail "tls.enable and certManager.enabled are two certificates: give one" -}}
{{- end -}}
{{- if .Values.tls.enable -}}
{{- range $part, $kind := dict "ca" "CERTIFICATE" "certificate" "CERTIFICATE" "key" "PRIVATE KEY" -}}
{{- if not (regexMatch (printf "-----BEGIN [A-Z ]*%s-----" $kind) (index $.Values.tls $part | default "")) -}}
{{- fail (printf "tls.enable needs tls.ca, tls.certificate and tls.key, each as PEM: tls.%s has no BEGIN %s" $part $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.certManager -}}
{{- if .enabled -}}
{{- /* cert-manager's webhook refuses less. */ -}}
{{- $least := dict "caCertDuration" 3600 "certDuration" 3600 "certRenewBefore" 300 -}}
{{- range $name, $seconds := $least -}}
{{- $value := index $.Values.certManager $name -}}
{{- if lt (include "streamgate.seconds" $value | int64) (int64 $seconds) -}}
{{- fail (printf "certManager.%s=%s must be %dm at least and 292 years at most" $name $value (div $seconds 60)) -}}
{{- end -}}
{{- end -}}
{{- $life := include "streamgate.seconds" .certDuration | int64 -}}
{{- if ge (include "streamgate.seconds" .certRenewBefore | int64) $life -}}
{{- fail (printf "certManager.certRenewBefore=%s must be less than certManager.certDuration=%s" .certRenewBefore .certDuration) -}}
{{- end -}}
{{- if gt $life (include "streamgate.seconds" .caCertDuration | int64) -}}
{{- fail (printf "certManager.certDuration=%s is longer than certManager.caCertDuration=%s: a certificate is worth nothing once its CA's has ended" .certDuration .caCertDuration) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whole seconds of a duration such as 2160h or 1h30m; 0 for one that is too long for Go, above 292 years. */}}
{{- define "streamgate.seconds" -}}
{{- $start := toDate "2006-01-02" "2000-01-01" -}}
{{- sub (dateModify . $start | unixEpoch | int64) (unixEpoch $start | int64) -}}
{{- end -}}

{{- define "streamgate.resourceChecks" -}}
{{- $path := .path -}}
{{- $limits := (.resources | default dict).limits | default dict -}}
{{- range $name, $request := (.resources | default dict).requests -}}
{{- if hasKey $limits $name -}}
{{- $limit := get $limits $name -}}
{{- if gt (include "streamgate.quantity" $request | float64) (include "streamgate.quantity" $limit | float64) -}}
{{- fail (printf "%s.requests.%s=%v is above %s.limits.%s=%v: raise the limit, or set it null" $path $name $request $path $name $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The number that a quantity such as 100m or 1Gi is. */}}
{{- define "streamgate.quantity" -}}
{{- $text := toString . -}}
{{- $unit := regexFind "[numkMGTPE]i?$" $text -}}
{{- $decimal := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 -}}
{{- $binary := dict "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (trimSuffix $unit $text | float64) (get (merge $decimal $binary) $unit) -}}
{{- end -}}

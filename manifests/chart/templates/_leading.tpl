{{/* The Deployment of a program of which one leads: the recommender and the rollout controller. More arguments than in
     _helpers.tpl: `port`, `health`, `first` and `last` arguments. */}}
{{- define "streamgate.leading" -}}
{{- $name := include (printf "streamgate.%s" .program) .root }}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "streamgate.metadata" . | nindent 2 }}
spec:
  replicas: {{ .values.replicas }}
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
  selector:
    matchLabels:
      {{- include "streamgate.selector" . | nindent 6 }}
  template:
    metadata:
      {{- include "streamgate.podMetadata" . | nindent 6 }}
    spec:
      {{- include "streamgate.podFields" . | nindent 6 }}
      {{- with .values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- toYaml . | nindent 6 }}
      {{- end }}
      containers:
      - name: {{ .program }}
        {{- include "streamgate.image" . | nindent 8 }}
        command: [streamgate-{{ .program }}]
        args:
        {{- range .first }}
        - {{ . }}
        {{- end }}
        - --address=:{{ .port }}
        - --leader-elect=true
        - --leader-elect-resource-namespace={{ include "streamgate.namespace" .root }}
        - --leader-elect-resource-name={{ $name }}
        {{- range .last }}
        - {{ . | quote }}
        {{- end }}
        {{- include "streamgate.moreArguments" . | nindent 8 }}
        ports:
        - {name: http, containerPort: {{ .port }}}
        livenessProbe:
          httpGet: {path: {{ .health }}, port: http}
          periodSeconds: 10
          timeoutSeconds: 5
          failureThreshold: 6
        readinessProbe:
          httpGet: {path: {{ .health }}, port: http}
          periodSeconds: 10
          timeoutSeconds: 5
          failureThreshold: 3
        {{- include "streamgate.containerFields" . | nindent 8 }}
{{- end -}}

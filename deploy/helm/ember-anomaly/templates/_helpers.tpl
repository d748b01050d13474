{{- define "ember.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ember.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ember.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "ember.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* A name of its own: the workers' selectors must not find the bridge. */}}
{{- define "ember.bridge.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ember.bridge.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "ember.bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* A name of its own: nobody is woken when it does not answer, as for a bridge. */}}
{{- define "ember.console.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-console
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ember.console.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "ember.console.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "ember.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "ember.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "ember.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "ember.name" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* What a scrape brings: /metrics asks for http.token where there is one. */}}
{{- define "ember.authorization" -}}
{{- if .Values.serviceMonitor.tokenSecret.name -}}
authorization: { credentials: {{ .Values.serviceMonitor.tokenSecret | toJson }} }
{{- else if (.Values.settings.http | default dict).token_file -}}
{{- fail "Prometheus would be refused. Expected serviceMonitor.tokenSecret where settings.http.token_file is set. Received: serviceMonitor.tokenSecret.name=\"\". Name the Secret that holds the token." -}}
{{- end -}}
{{- end -}}

{{/* ember.toml: strings, numbers, booleans and lists are written alike in JSON and TOML. */}}
{{- define "ember.toml" -}}
{{- range $section, $table := .Values.settings }}
[{{ $section }}]
{{- range $key, $value := $table }}
{{- if kindIs "map" $value }}
{{ $key }} = { {{- range $i, $name := keys $value | sortAlpha }}{{ if $i }},{{ end }} {{ $name | quote }} = {{ get $value $name | toJson }}{{ end }} }
{{- else if eq $section "channels" }}{{/* A list of tables: JSON in a string, as in a variable. */}}
{{ $key }} = {{ toJson $value | toJson }}
{{- else }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{ end }}
{{- end -}}

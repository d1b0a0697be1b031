{{- define "selection-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- /* The name of every object: at most 52 characters, so that suffixes such as -metrics and -test fit into 63. */}}
{{- define "selection-operator.fullname" -}}
{{- $name := include "selection-operator.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $full | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "selection-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "selection-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "selection-operator.labels" -}}
{{ include "selection-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "selection-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "selection-operator.fullname" .) "default") }}
{{- end }}

{{- /* The annotations of what is left with all runs when the chart is uninstalled. */}}
{{- define "selection-operator.kept" -}}
{{- if .Values.crds.keep -}}
annotations:
  helm.sh/resource-policy: keep
{{- end }}
{{- end }}

{{- /* An image's reference: call it with (dict "image" VALUES "chart" .Chart). */}}
{{- define "selection-operator.image" -}}
{{- $name := list .image.registry .image.repository | compact | join "/" }}
{{- if .image.digest }}{{ $name }}@{{ .image.digest }}{{ else }}{{ $name }}:{{ .image.tag | default .chart.AppVersion }}{{ end }}
{{- end }}

{{- /* The names in a list of references, separated by commas. */}}
{{- define "selection-operator.names" -}}
{{- range $i, $reference := . }}{{ if $i }},{{ end }}{{ $reference.name }}{{ end }}
{{- end }}

{{- /* What the "restricted" Pod Security Standard asks of a container; the user is the image's, 65532. */}}
{{- define "selection-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "selection-operator.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* What the operator may do: equal to RULES and KUEUE_RULES in operator/selection_operator/cluster/rbac.py. */}}
{{- define "selection-operator.rules" -}}
- apiGroups: [dataselection.io]
  resources: [selectionruns]
  verbs: [get, list, watch, delete]  # delete is for ttlSecondsAfterFinished
- apiGroups: [dataselection.io]
  resources: [selectionruns/status]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- if .Values.kueue.enabled }}
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list, patch]
{{- end }}
{{- end }}

{{- /* The value from which each of the operator's settings comes. */}}
{{- define "selection-operator.settings" -}}
SELECTION_JOB_IMAGE: job.image
SELECTION_JOB_IMAGE_PULL_POLICY: job.image.pullPolicy
SELECTION_JOB_IMAGE_PULL_SECRETS: job.imagePullSecrets
SELECTION_JOB_RESOURCES: job.resources
SELECTION_GPU_RESOURCE: job.gpuResource
SELECTION_SHARED_MEMORY_SIZE: job.sharedMemorySize
SELECTION_SCRATCH_SIZE: job.scratchSize
SELECTION_WATCH_NAMESPACES: watchNamespaces
SELECTION_RESYNC_SECONDS: resyncSeconds
SELECTION_PROGRESS_SECONDS: progressSeconds
SELECTION_KUEUE_ENABLED: kueue.enabled
SELECTION_IDENTITY: fullnameOverride
SELECTION_LOG_LEVEL: logLevel
SELECTION_LISTEN: listen
{{- end }}

{{- /* Refuses values that a schema can't: those that contradict each other. */}}
{{- define "selection-operator.check" -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service) }}
{{- fail "metrics.serviceMonitor.enabled needs metrics.service=true: a ServiceMonitor finds its target through the Service." }}
{{- end }}
{{- if and .Values.serviceAccount.annotations (not .Values.serviceAccount.create) }}
{{- fail "serviceAccount.annotations needs serviceAccount.create=true: the chart does not edit a service account that it did not make." }}
{{- end }}
{{- $values := include "selection-operator.settings" . | fromYaml }}
{{- range $variable := .Values.extraEnv }}
{{- if hasPrefix "SELECTION_" .name }}
{{- with get $values .name }}
{{- fail (printf "extraEnv names %s, which the chart itself sets from %s: set that instead" $variable.name .) }}
{{- end }}
{{- fail (printf "extraEnv names %s: the operator has no such setting. Variables that begin with SELECTION_ are set by the chart's values." .name) }}
{{- end }}
{{- end }}
{{- range $path, $image := dict "image" .Values.image "job.image" .Values.job.image }}
{{- if contains "://" ($image.registry | default "") }}
{{- fail (printf "%s.registry is %s: leave out what stands before ://; expected a host, with port and path if it has them, such as registry.example.com:5000/team" $path $image.registry) }}
{{- end }}
{{- end }}
{{- range $part := list "limits" "requests" }}
{{- if hasKey (dig $part dict $.Values.job.resources) $.Values.job.gpuResource }}
{{- fail (printf "job.resources.%s names %s: leave it out. A run gets as many GPUs as its trainer.gpus says, or what its spec.resources says." $part $.Values.job.gpuResource) }}
{{- end }}
{{- end }}
{{- end }}

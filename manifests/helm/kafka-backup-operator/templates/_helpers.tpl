{{- define "name" -}}
{{ .Values.fullnameOverride | default "kafka-backup-operator" }}
{{- end }}
{{/* The name of what is of the cluster and not of a namespace: another release, in another namespace, has another. */}}
{{- define "cluster-name" -}}
{{ include "name" . }}{{ if ne .Release.Namespace "kafka-backup" }}-{{ .Release.Namespace }}{{ end }}
{{- end }}
{{- define "account" -}}
{{ .Values.serviceAccount.name | default (include "name" .) }}
{{- end }}
{{- define "labels" -}}
app.kubernetes.io/name: kafka-backup-operator
{{- end }}
{{/* registry/repository:tag, or @digest. Takes the root and an image of the values. */}}
{{- define "image" -}}
{{- $registry := .image.registry | default (.root.Values.global | default dict).imageRegistry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .image.repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}
{{- define "operator-image" -}}
{{ include "image" (dict "root" . "image" .Values.image) }}
{{- end }}
{{- define "runner-image" -}}
{{ include "image" (dict "root" . "image" .Values.runner.image) }}
{{- end }}
{{/* "true" where runs serve metrics whose resources say nothing of them. */}}
{{- define "runs-serve-metrics" -}}
{{- if and .Values.metrics.enabled .Values.metrics.podMonitor.enabled }}true{{ end -}}
{{- end }}
{{/* What the operator may do with the resources that it runs. */}}
{{- define "rules" -}}
- apiGroups: [kafka.oso.sh]
  resources: [kafkabackups, kafkarestores, kafkaoffsetresets, kafkaoffsetrollbacks, kafkabackupvalidations]
  # patch: finalizers of another operator go when an object is taken over.
  verbs: [get, list, watch, patch]
- apiGroups: [kafka.oso.sh]
  resources:
    - kafkabackups/status
    - kafkarestores/status
    - kafkaoffsetresets/status
    - kafkaoffsetrollbacks/status
    - kafkabackupvalidations/status
  verbs: [get, update, patch]
- apiGroups: [kafka.oso.sh]
  # Owner references that block deletion need this where the cluster enforces it.
  resources:
    - kafkabackups/finalizers
    - kafkarestores/finalizers
    - kafkaoffsetresets/finalizers
    - kafkaoffsetrollbacks/finalizers
    - kafkabackupvalidations/finalizers
  verbs: [update]
- apiGroups: [backup.strimzi.io, kafkabackup.com]
  resources: [kafkabackups, kafkarestores]
  verbs: [get, list, watch, patch]
- apiGroups: [backup.strimzi.io, kafkabackup.com]
  resources: [kafkabackups/status, kafkarestores/status]
  verbs: [get, update, patch]
{{- if or (has "backup.strimzi.io" .Values.groups) (has "kafkabackup.com" .Values.groups) }}
# Where the brokers of a Strimzi cluster are, and who a run is there. No Secret is read.
- apiGroups: [kafka.strimzi.io]
  resources: [kafkas, kafkausers]
  verbs: [get, list, watch]
{{- end }}
- apiGroups: [kafka-backup.dev]
  # delete: one that nobody asks any more goes.
  resources: [kafkabackupinspections]
  verbs: [get, list, watch, delete]
- apiGroups: [kafka-backup.dev]
  resources: [kafkabackupinspections/status]
  verbs: [get, update]
- apiGroups: [kafka-backup.dev]
  resources: [kafkabackupinspections/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [create]
- apiGroups: [""]
  # Why a pod was refused stands only in events of its Job.
  resources: [events]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{/* Whether an object of the API server is controlled by a resource of our kinds, and labelled for it. */}}
{{- define "is-of-ours" -}}
{{ . }}.metadata.?ownerReferences.orValue([]).size() == 1 && {{ . }}.metadata.ownerReferences.all(owner,
        owner.?controller.orValue(false) && owner.uid != "" &&
        {{ . }}.metadata.?labels["kafka-backup.dev/owner-uid"].orValue("") == owner.uid && (
        owner.apiVersion == "kafka.oso.sh/v1alpha1" && owner.kind in ["KafkaBackup", "KafkaRestore", "KafkaOffsetReset",
        "KafkaOffsetRollback", "KafkaBackupValidation"] ||
        owner.apiVersion in ["backup.strimzi.io/v1alpha1", "kafkabackup.com/v1", "kafkabackup.com/v1alpha1"] &&
        owner.kind in ["KafkaBackup", "KafkaRestore"] ||
        owner.apiVersion == "kafka-backup.dev/v1alpha1" && owner.kind == "KafkaBackupInspection"))
{{- end -}}
{{/* The condition of policies for what the operator does. */}}
{{- define "is-the-operator" -}}
- name: made-by-the-operator
      expression: request.userInfo.username == "system:serviceaccount:{{ .Release.Namespace }}:{{ include "account" . }}"
{{- end -}}

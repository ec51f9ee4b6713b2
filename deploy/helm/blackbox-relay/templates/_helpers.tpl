{{- define "relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "relay.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "relay.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects pods: it must never change within a release. */}}
{{- define "relay.selector" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "relay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "relay.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "relay.secret" -}}
{{- default (include "relay.fullname" .) .Values.secrets.existingSecret -}}
{{- end -}}

{{/* The names of the secret variables, one a line: those of `create`, or those of `keys`. */}}
{{- define "relay.secretKeys" -}}
{{- if .Values.secrets.existingSecret -}}
{{- .Values.secrets.keys | uniq | join "\n" -}}
{{- else -}}
{{- keys .Values.secrets.create | sortAlpha | join "\n" -}}
{{- end -}}
{{- end -}}

{{/* Longer than the drain, always: SIGKILL before its end would cut conversations. */}}
{{- define "relay.grace" -}}
{{- ceil (addf .Values.drain.delaySeconds .Values.drain.timeoutSeconds .Values.drain.marginSeconds) -}}
{{- end -}}

{{/* A value as text. Helm reads every number as a float, and prints 1048576 as 1.048576e+06. */}}
{{- define "relay.plain" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{/* How fast pods come and go, for whichever autoscaler. */}}
{{- define "relay.scalingBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - type: Percent
      value: 100
      periodSeconds: 60
    - type: Pods
      value: 2
      periodSeconds: 60
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownStabilizationSeconds }}
  policies:
    - type: Pods
      value: 1
      periodSeconds: {{ .Values.autoscaling.scaleDownPeriodSeconds }}
    - type: Percent
      value: {{ .Values.autoscaling.scaleDownPercent }}
      periodSeconds: {{ .Values.autoscaling.scaleDownPeriodSeconds }}
  selectPolicy: Max
{{- end -}}

{{/*
Sessions that pods are needed for: those that are live, but no more than the vendor takes from all
replicas together. relay_upstream_places is NaN without such a bound, and no number is above NaN.
Sessions of draining pods do not count: their pods are no longer the Deployment's.
*/}}
{{- define "relay.scalingQuery" -}}
{{- $of := printf "namespace=%q,service=%q" .Release.Namespace (printf "%s-internal" (include "relay.fullname" .)) -}}
{{- printf "clamp_max(sum(relay_sessions{%s} unless on (instance) relay_draining{%s} == 1) or 0 * sum(relay_sessions_limit{%s}), scalar(max(relay_upstream_places{%s} > 0) or vector(Inf)))" $of $of $of $of -}}
{{- end -}}

{{/* RelayDrainStuck must wait for as long as a drain may take, whole minutes and one more. */}}
{{- define "relay.drainAlertMinutes" -}}
{{- add1 (ceil (divf (include "relay.grace" . | float64) 60)) -}}
{{- end -}}

{{/* Mistakes that a schema does not see. */}}
{{- define "relay.check" -}}
{{- $keys := splitList "\n" (include "relay.secretKeys" .) -}}
{{- if not (or .Values.secrets.existingSecret .Values.secrets.create) -}}
{{- fail "secrets.existingSecret: name a Secret that holds RELAY_BLACKBOX_API_KEY (or, to try things out, fill secrets.create)" -}}
{{- end -}}
{{- $replicas := int .Values.replicaCount -}}
{{- if .Values.autoscaling.enabled -}}
{{- $replicas = int .Values.autoscaling.maxReplicas -}}
{{- if lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas) -}}
{{- fail "autoscaling.maxReplicas is below autoscaling.minReplicas" -}}
{{- end -}}
{{- if ge (int .Values.autoscaling.targetSessions) (int (default 5000 .Values.config.RELAY_MAX_SESSIONS)) -}}
{{- fail "autoscaling.targetSessions must be below RELAY_MAX_SESSIONS, or pods are full before they are more" -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.engine "keda") (not .Values.autoscaling.prometheusAddress) -}}
{{- fail "autoscaling.prometheusAddress: KEDA asks Prometheus for the sessions; say where it answers" -}}
{{- end -}}
{{- end -}}
{{- $none := list "0" "0%" "00%" "000%" -}}
{{- if and (has (toString .Values.rollout.maxSurge) $none) (has (toString .Values.rollout.maxUnavailable) $none) -}}
{{- fail "rollout.maxSurge and rollout.maxUnavailable are both 0: no pod could ever be replaced" -}}
{{- end -}}
{{- if and (gt $replicas 1) (not (has "RELAY_STATE_URL" $keys)) (not (hasKey .Values.config "RELAY_STATE_URL")) -}}
{{- fail "more than one replica needs a shared store: add RELAY_STATE_URL to secrets.keys (or to config)" -}}
{{- end -}}
{{- range $name := list "RELAY_PORT" "RELAY_HOST" "RELAY_INTERNAL_PORT" "RELAY_DRAIN_DELAY" "RELAY_DRAIN_TIMEOUT" "RELAY_AGENTS_FILE" -}}
{{- if hasKey $.Values.config $name -}}
{{- fail (printf "config.%s: set it by `ports`, `drain` or `agents`, which other objects follow" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name := $keys -}}
{{- if hasKey $.Values.config $name -}}
{{- fail (printf "config.%s is in secrets too: a variable comes from one place" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

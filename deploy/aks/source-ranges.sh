#!/usr/bin/env bash
# Writes allowed-source-ranges.auto.tfvars.json: the union of what the SftpUsers of every endpoint allow, for the firewall or the
# network security group. A user without ranges takes the endpoint's; where that has none either, everybody is allowed, and the
# list is empty; where its address is rewritten (service.clientAddress), its ranges are those of the firewall itself, and count for
# nothing here. Suspended users count for nothing. Needs kubectl and jq; run it again, and terraform apply, after changes.
set -euo pipefail
cd "$(dirname "$0")"
{ kubectl get sftpendpoints --all-namespaces -o json; kubectl get sftpusers --all-namespaces -o json; } | jq -s '
  (.[0].items | map({key: (.metadata.namespace + "/" + .metadata.name), value: (if .spec.service.clientAddress == "Rewritten" then null else .spec.allowedSourceRanges end)}) | from_entries) as $endpoints
  | [ .[1].items[] | select(.spec.suspend != true)
      | ((.spec.endpointRef.namespace // .metadata.namespace) + "/" + .spec.endpointRef.name) as $endpoint
      | .spec.allowedSourceRanges // $endpoints[$endpoint] ]
  | if any(. == null) then {allowed_source_ranges: []}
    else {allowed_source_ranges: (add // [] | map(select(contains(":") | not)) | unique)} end
  ' >allowed-source-ranges.auto.tfvars.json.tmp
mv allowed-source-ranges.auto.tfvars.json.tmp allowed-source-ranges.auto.tfvars.json
cat allowed-source-ranges.auto.tfvars.json

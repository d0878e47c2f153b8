#!/usr/bin/env bash
# Writes allowed-source-ranges.auto.tfvars.json: the union of what the SftpUsers in force allow, for the firewall or the network
# security group. A user without ranges takes the endpoint's; where that has none either, everybody is allowed (null); where its
# address is rewritten (service.clientAddress), its ranges are those of the firewall itself, and count for nothing here. Users who are
# suspended or not Programmed (refused, of an endpoint that does not exist or does not admit them) count for nothing: without any
# other nobody is allowed ([]). IPv4 only, and no range within another, since Azure takes none. Needs kubectl and jq; run it again,
# and terraform apply, after changes.
set -euo pipefail
cd "$(dirname "$0")"
{ kubectl get sftpendpoints --all-namespaces -o json; kubectl get sftpusers --all-namespaces -o json; } | jq -s '
  def blocks: . as $size | [16777216, 65536, 256, 1] | map($size / . | floor | . % 256 | tostring) | join(".");
  def range: split("/") | ((.[1] // "32") | tonumber) as $bits | pow(2; 32 - $bits) as $size
    | (.[0] / "." | map(tonumber) | .[0] * 16777216 + .[1] * 65536 + .[2] * 256 + .[3]) as $address
    | {from: (($address / $size | floor) * $size), size: $size, bits: $bits};
  # Of two ranges one lies within the other, or they have nothing in common.
  def widest: sort_by(.from, -.size) | reduce .[] as $next ([]; if length > 0 and $next.from < .[-1].from + .[-1].size then . else . + [$next] end);
  (.[0].items | map({key: (.metadata.namespace + "/" + .metadata.name), value: (if .spec.service.clientAddress == "Rewritten" then null else .spec.allowedSourceRanges end)}) | from_entries) as $endpoints
  | [ .[1].items[]
      | select(.spec.suspend != true and any(.status.conditions[]?; .type == "Programmed" and .status == "True"))
      | .spec.allowedSourceRanges // $endpoints[(.spec.endpointRef.namespace // .metadata.namespace) + "/" + .spec.endpointRef.name] ]
  | if any(. == null) then null else (add // [] | map(select(contains(":") | not) | range) | widest) end
  | {allowed_source_ranges: (if . == null or any(.bits == 0) then null else map("\(.from | blocks)/\(.bits)") end)}
  ' >allowed-source-ranges.auto.tfvars.json.tmp
mv allowed-source-ranges.auto.tfvars.json.tmp allowed-source-ranges.auto.tfvars.json
cat allowed-source-ranges.auto.tfvars.json

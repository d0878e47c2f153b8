# Stands in for node:24-bookworm, which has a compiler.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends g++ make python3 >/dev/null \
 && rm -rf /var/lib/apt/lists/*

# The worker: agent and task processes, with libtorch and the CUDA libraries it needs. It runs with and without a GPU; the
# NVIDIA driver comes from the node.
#
# Debian keeps one version of a package, so packages are not pinned; the base images are.
#
#   docker build -f deploy/images/worker.Dockerfile -t vismae-worker:0.1.0 .

FROM rust:1.95.0-slim-bookworm AS build
# The bridge to libtorch is C++; libtorch comes through pip.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake g++ make python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
# libtorch goes to /opt/vismae/libtorch-<version>. The worker looks for it there, so the path below must be the same.
ENV VISMAE_CACHE=/opt
WORKDIR /src
COPY . .
# pip keeps what it downloads: a later build of other sources does not fetch libtorch again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/root/.cache/pip \
    cargo xtask setup \
 && cargo build --release --locked --package vismae-worker --bin vismae-worker
# libtorch's libraries find the CUDA libraries by paths relative to their own, so `torch` and `nvidia` keep their places
# beside each other. Headers, Python and static libraries stay behind.
WORKDIR /opt/vismae
RUN set -eu; \
    install -D target/release/vismae-worker /image/usr/local/bin/vismae-worker; \
    for folder in libtorch-*/torch/lib libtorch-*/nvidia/*/lib; do \
      mkdir -p "/image/opt/vismae/$folder"; \
      find "$folder" -maxdepth 1 -name '*.so*' ! -name 'libtorch_python.so' \
        -exec cp --no-dereference --target-directory "/image/opt/vismae/$folder" {} +; \
    done

FROM debian:12.12-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /image/ /
# Every library is where the worker looks for it, or the build of the image fails here.
RUN ["/usr/local/bin/vismae-worker", "--version"]
# What the NVIDIA container runtime brings in from a node with GPUs.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
# Weights are put together in the temporary folder: mount a writable one where the root is read-only.
WORKDIR /tmp
EXPOSE 7342
ENTRYPOINT ["/usr/local/bin/vismae-worker"]
CMD ["agent"]

# The `vismae` command: the coordinator, and everything an operator types. It needs no libtorch.
#
# Debian keeps one version of a package, so packages are not pinned; the base images are.
#
#   docker build -f deploy/images/coordinator.Dockerfile -t vismae-coordinator:0.1.0 .

FROM rust:1.95.0-slim-bookworm AS build
# The TLS and compression libraries among the dependencies are built from C.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends cmake g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --package vismae-cli --bin vismae \
 && install -D target/release/vismae /image/usr/local/bin/vismae

FROM debian:12.12-slim
# Object stores and remote coordinators are spoken to over TLS.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /image/ /
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
WORKDIR /tmp
EXPOSE 7340 7341
ENTRYPOINT ["/usr/local/bin/vismae"]
CMD ["up"]

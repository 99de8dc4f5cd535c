# syntax=docker/dockerfile:1

# Built where it runs: both stages are Debian 12, so that the C library is the same one.
FROM rust:1.95-bookworm AS build
WORKDIR /src
# .dockerignore lets only the manifest, the lock file and the sources in.
COPY . .
# The lock file decides every version. The simulators (feature `sim`) stay out.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin hostwright \
    && cp target/release/hostwright /hostwright

# The C library and the certificate authorities of Debian, no shell, no package tool.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /hostwright /usr/local/bin/hostwright
# The number and not the name, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/hostwright"]
CMD ["run"]

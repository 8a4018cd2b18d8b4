# Envoy as its distroless image has it: the binary, what it links to, CA certificates, and no shell.
FROM debian:bookworm-slim AS libraries
RUN apt-get update -q && apt-get install -y -q --no-install-recommends ca-certificates
RUN mkdir -p /out/etc /out/tmp && chmod 1777 /out/tmp \
 && for library in libc libm librt libdl libpthread; do cp --parents -L /lib/*-linux-gnu/$library.so.* /out; done \
 && cp --parents -L /lib*/ld-linux-*.so.* /out \
 && cp --parents -L /etc/ssl/certs/ca-certificates.crt /out \
 && echo 'root:x:0:0:root:/root:/sbin/nologin' >/out/etc/passwd \
 && echo 'nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin' >>/out/etc/passwd \
 && echo 'hosts: files dns' >/out/etc/nsswitch.conf

FROM scratch
COPY --from=libraries /out/ /
COPY envoy /usr/local/bin/envoy
USER 65532:65532
EXPOSE 10000
ENTRYPOINT ["/usr/local/bin/envoy"]

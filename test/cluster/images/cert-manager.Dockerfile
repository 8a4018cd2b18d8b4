# cert-manager's controllers, as an e2e test installs them.
FROM scratch
COPY cert-manager /cert-manager
USER 65532:65532
ENTRYPOINT ["/cert-manager"]

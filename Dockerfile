# The mesh's only image: operator, injector, controller, and the init container that sends a pod's traffic through Envoy.
# `npm run build` fills dist/ first: the bundles, and the Node binary that the lockfile pins.
FROM debian:bookworm-slim
RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends ca-certificates iptables \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 65532 osm && useradd --uid 65532 --gid 65532 --no-create-home --home-dir / --shell /usr/sbin/nologin osm
COPY dist/node /usr/local/bin/node
COPY dist/*.mjs dist/*.mjs.map /osm/
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /osm
USER 65532:65532

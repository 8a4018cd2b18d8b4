/** What the tests of the xDS server share: a serving certificate, tokens, a sidecar's own bootstrap, small resources. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromJson, type DescMessage, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT } from 'jose';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { issueServing } from '#certificates/leaf.ts';
import type { Bootstrap } from '#test/support/envoy.ts';
import { bootstrap } from '#webhook/inject/bootstrap.ts';
import { TOKEN_DIRECTORY, TRUST_DIRECTORY } from '#webhook/inject/names.ts';
import { trustConfigMapData } from '#webhook/inject/trust.ts';
import { ClusterSchema } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import { anyRegistry } from '#xds/proto/registry.ts';
import type { Resource } from '#xds/resource.ts';
import type { TokenClaims } from '#xds/server/token.ts';

export const ISSUER = 'https://kubernetes.default.svc';

export interface SidecarFiles {
  readonly directory: string;
  /** Of the serving certificate (`tls.crt`, `tls.key`). */
  readonly tlsDirectory: string;
  readonly authority: CertificateAuthority;
  /** Writes a new serving certificate by the same authority; returns its serial. */
  renewServing(): Promise<string>;
  writeToken(token: string): Promise<void>;
  /** The bootstrap that a sidecar really gets, with its mounts in `directory` and the controller on loopback. */
  sidecarBootstrap(controllerPort: number, options?: { readonly credential: boolean }): Bootstrap;
  remove(): Promise<void>;
}

export async function sidecarFiles(namespace = 'osm-system'): Promise<SidecarFiles> {
  const directory = await mkdtemp(join(tmpdir(), 'osm-xds-'));
  const [tls, trust, token] = ['tls', 'trust', 'token'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([tls, trust, token].map((path) => mkdir(path)));
  const authority = await createAuthority({ now: Date.now(), commonName: 'control plane of a test' });
  const local = (text: string): string => text.replaceAll(TRUST_DIRECTORY, trust).replaceAll(TOKEN_DIRECTORY, token);
  for (const [name, text] of Object.entries(trustConfigMapData(authority.rootsPem, namespace))) {
    await writeFile(join(trust, name), local(text));
  }
  const files: SidecarFiles = {
    directory,
    tlsDirectory: tls,
    authority,
    async renewServing() {
      const issued = await issueServing(authority, [`osm-controller.${namespace}.svc`], {
        now: Date.now(),
        lifetimeMs: 3_600_000,
      });
      await writeFile(join(tls, 'tls.crt'), issued.chainPem);
      await writeFile(join(tls, 'tls.key'), issued.privateKey.revealText());
      return issued.serial;
    },
    writeToken: (text) => writeFile(join(token, 'token'), text),
    sidecarBootstrap(controllerPort, { credential } = { credential: true }) {
      const filters = (key: string, value: unknown): unknown =>
        !credential && key === 'http_filters' ? undefined : value;
      const text = JSON.stringify(bootstrap({ controlPlaneNamespace: namespace, probes: [] }), filters);
      const host = `"address":"osm-controller.${namespace}.svc","port_value":15128`;
      if (!text.includes(host)) throw new Error('the bootstrap does not name the controller as this test expects');
      const parsed = JSON.parse(local(text).replace(host, `"address":"127.0.0.1","port_value":${controllerPort}`)) as {
        static_resources: { listeners: unknown };
      };
      // The ready listener is on the pod's address, which this machine does not have.
      return { ...parsed, static_resources: { ...parsed.static_resources, listeners: [] } };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
  await files.renewServing();
  return files;
}

/** Signs tokens as the API server would. */
export async function tokenSigner(kid = 'key-1') {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const keys: JSONWebKeySet = { keys: [{ ...(await exportJWK(publicKey)), kid, use: 'sig', alg: 'ES256' }] };
  return {
    keys,
    sign(claims: TokenClaims, { audience = 'osm', expiresIn = 3600 } = {}): Promise<string> {
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({
        'kubernetes.io': {
          namespace: claims.namespace,
          pod: { name: claims.pod, uid: claims.podUid },
          serviceaccount: { name: claims.account, uid: claims.accountUid },
        },
      })
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuer(ISSUER)
        .setAudience(audience)
        .setIssuedAt(now - 10)
        .setExpirationTime(now + expiresIn)
        .sign(privateKey);
    },
  };
}

function encoded(schema: DescMessage, name: string, json: JsonObject, extra: Partial<Resource> = {}): Resource {
  const bytes = toBinary(schema, fromJson(schema, json, { registry: anyRegistry }));
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  return { type: `type.googleapis.com/${schema.typeName}`, name, bytes, hash, ...extra };
}

const ADS: JsonObject = { ads: {}, resourceApiVersion: 'V3' };

export function edsCluster(name: string, connectTimeout = '1s'): Resource {
  const json = { name, type: 'EDS', connectTimeout, edsClusterConfig: { edsConfig: ADS } };
  return encoded(ClusterSchema, name, json, { endpoints: [name] });
}

/** A cluster that Envoy must refuse: EDS without a configuration source. */
export function brokenCluster(name: string): Resource {
  return encoded(ClusterSchema, name, { name, type: 'EDS', connectTimeout: '1s' });
}

export function endpoints(name: string, port: number): Resource {
  const endpoint = { address: { socketAddress: { address: '127.0.0.1', portValue: port } } };
  const json = { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint }] }] };
  return encoded(ClusterLoadAssignmentSchema, name, json);
}

/** A listener on loopback whose routes come by RDS. */
export function httpListener(name: string, port: number, routes: string): Resource {
  return encoded(ListenerSchema, name, {
    name,
    address: { socketAddress: { address: '127.0.0.1', portValue: port } },
    filterChains: [
      {
        filters: [
          {
            name: 'hcm',
            typedConfig: {
              '@type':
                'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
              statPrefix: name,
              rds: { routeConfigName: routes, configSource: { ...ADS, initialFetchTimeout: '0s' } },
              httpFilters: [
                {
                  name: 'router',
                  typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                },
              ],
            },
          },
        ],
      },
    ],
  });
}

/** Routes that answer by themselves with `body`. */
export function directRoutes(name: string, body: string): Resource {
  const route = { match: { prefix: '/' }, directResponse: { status: 200, body: { inlineString: body } } };
  return encoded(RouteConfigurationSchema, name, {
    name,
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [route] }],
  });
}

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './paths.ts';
import {
  CERT_MANAGER_VERSION,
  COREDNS_VERSION,
  ENVOY_VERSION,
  ensureCertManager,
  ensureCoreDns,
  ensureEnvoy,
  ensurePause,
} from './programs.ts';

/** The name that a Dockerfile's FROM gives to the Debian root made here. */
export const BASE_IMAGE = 'docker.io/library/debian:bookworm-slim';

/** How an image is made: from a Dockerfile, over a context. */
export interface ImageRecipe {
  /** As containerd knows it, with registry and tag. */
  readonly name: string;
  readonly dockerfile: string;
  /** The repository, or one program that is staged alone under its own name. */
  readonly context:
    | { readonly kind: 'repository' }
    | { readonly kind: 'program'; readonly make: () => Promise<string> };
  /** Whether the cluster itself cannot stand without it. */
  readonly essential: boolean;
}

const own = (file: string): string => join('test', 'cluster', 'images', file);
const repository = { kind: 'repository' } as const;
const program = (make: () => Promise<string>) => ({ kind: 'program', make }) as const;

/** Of no cluster until a test asks for it: hardly anything needs it, and `up` should not wait for 60 MB more. */
export const certManagerImage: ImageRecipe = {
  name: `quay.io/jetstack/cert-manager-controller:v${CERT_MANAGER_VERSION}`,
  dockerfile: own('cert-manager.Dockerfile'),
  context: program(ensureCertManager),
  essential: false,
};

/** The images of a cluster whose Dockerfile is in this checkout; own ones are tagged with the version in package.json. */
export function imageRecipes(): ImageRecipe[] {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string };
  const all: ImageRecipe[] = [
    {
      name: 'registry.k8s.io/pause:3.10',
      dockerfile: own('pause.Dockerfile'),
      context: program(ensurePause),
      essential: true,
    },
    {
      name: `docker.io/coredns/coredns:${COREDNS_VERSION}`,
      dockerfile: own('coredns.Dockerfile'),
      context: program(ensureCoreDns),
      essential: true,
    },
    {
      name: `docker.io/envoyproxy/envoy-distroless:v${ENVOY_VERSION}`,
      dockerfile: own('envoy.Dockerfile'),
      context: program(ensureEnvoy),
      essential: false,
    },
    ...[
      ['osm', 'Dockerfile'] as const,
      ['demo', 'demo/Dockerfile'] as const,
      ['demo-mysql', 'demo/mysql/Dockerfile'] as const,
      ['test-tools', 'test/e2e/Dockerfile'] as const,
    ].map(([name, dockerfile]) => ({
      name: `docker.io/openservicemesh/${name}:${version}`,
      dockerfile,
      context: repository,
      essential: false,
    })),
  ];
  return all.filter((image) => existsSync(join(repositoryRoot, image.dockerfile)));
}

/**
 * One parser a kind: raw API object in, typed object with defaults out, or every error with the field that it is about.
 * They read any served version. What comes from the API server has been through the same schema there, but may have
 * been stored under an older one; what comes from a file has been through nothing.
 */
import type { Static, TSchema } from 'typebox';
import { mergeHeaders } from './headers.ts';
import { egress } from './schema/egress.ts';
import { extensionService } from './schema/extension-service.ts';
import { httpRouteGroup } from './schema/http-route-group.ts';
import { ingressBackend } from './schema/ingress-backend.ts';
import type { KindDefinition } from './schema/kind.ts';
import { meshConfig } from './schema/mesh-config.ts';
import { meshRootCertificate } from './schema/mesh-root-certificate.ts';
import { retry } from './schema/retry.ts';
import { tcpRoute } from './schema/tcp-route.ts';
import { telemetry } from './schema/telemetry.ts';
import { trafficSplit } from './schema/traffic-split.ts';
import { trafficTarget } from './schema/traffic-target.ts';
import { upstreamTrafficSetting } from './schema/upstream-traffic-setting.ts';
import type { CustomObject, CustomObjectMeta, HttpRouteGroup, HttpRouteMatch } from './types.ts';
import { isRecord, validate, type FieldError } from './validate.ts';

export type { FieldError } from './validate.ts';

export type ParseResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

export type Parser<T> = (object: unknown) => ParseResult<T>;

export const parseMeshConfig = parserOf(meshConfig);
export const parseMeshRootCertificate = parserOf(meshRootCertificate);
export const parseExtensionService = parserOf(extensionService);
export const parseEgress = parserOf(egress);
export const parseIngressBackend = parserOf(ingressBackend);
export const parseRetry = parserOf(retry);
export const parseUpstreamTrafficSetting = parserOf(upstreamTrafficSetting);
export const parseTelemetry = parserOf(telemetry);
export const parseTrafficTarget = parserOf(trafficTarget);
export const parseTcpRoute = parserOf(tcpRoute);
export const parseTrafficSplit = parserOf(trafficSplit);

const parseWrittenHttpRouteGroup = parserOf(httpRouteGroup);

/** Merges both spellings of `headers`, which the schema alone cannot check. */
export function parseHttpRouteGroup(object: unknown): ParseResult<HttpRouteGroup> {
  const written = parseWrittenHttpRouteGroup(object);
  if (!written.ok) return written;
  const matches: HttpRouteMatch[] = [];
  const errors: FieldError[] = [];
  written.value.spec.matches.forEach((match, index) => {
    const merged = mergeHeaders(match.headers, `spec.matches[${index}].headers`);
    if (merged.ok) matches.push({ ...match, headers: merged.headers });
    else errors.push(...merged.errors);
  });
  return errors.length > 0 ? { ok: false, errors } : { ok: true, value: { ...written.value, spec: { matches } } };
}

function parserOf<S extends TSchema>(definition: KindDefinition<S>): Parser<CustomObject<Static<S>>> {
  const apiVersions = definition.versions.map((version) => `${definition.group}/${version.name}`);
  return (object) => {
    if (!isRecord(object)) return failed('', 'must be an object');
    const { apiVersion, kind, metadata } = object;
    if (kind !== definition.kind) return failed('kind', `must be ${definition.kind}`);
    if (typeof apiVersion !== 'string' || !apiVersions.includes(apiVersion)) {
      return failed('apiVersion', `must be one of ${apiVersions.join(', ')}`);
    }
    if (!isMetadata(metadata)) return failed('metadata.name', 'is missing');
    const checked = validate(definition.spec, object['spec'] ?? definition.specDefault, 'spec');
    const errors = [
      ...(checked.ok ? [] : checked.errors),
      ...(definition.rules ?? [])
        .filter((rule) => !rule.holds(object))
        .map((rule) => ({ field: (rule.fieldPath ?? '').slice(1), message: rule.message })),
    ];
    if (!checked.ok || errors.length > 0) return { ok: false, errors };
    return {
      ok: true,
      value: {
        ...(object['status'] === undefined ? {} : { status: object['status'] }),
        apiVersion,
        kind: definition.kind,
        metadata,
        // The schema that the type is made from has just accepted it.
        spec: checked.value as Static<S>,
      },
    };
  };
}

function failed(field: string, message: string): { readonly ok: false; readonly errors: readonly FieldError[] } {
  return { ok: false, errors: [{ field, message }] };
}

function isMetadata(metadata: unknown): metadata is CustomObjectMeta {
  return isRecord(metadata) && typeof metadata['name'] === 'string' && metadata['name'] !== '';
}

/** The CustomResourceDefinitions, made from the schemas: for the YAML files, and for the install manifest. */
import { kinds } from './kinds.ts';
import type { KindDefinition } from './schema/kind.ts';
import type { Rule } from './schema/kit.ts';
import { structural, type JsonObject } from './structural.ts';

/** One CRD a kind, in the order of `kinds`. Throws NotStructural when a schema is not fit for the API server. */
export function allCrds(): JsonObject[] {
  return kinds.map(crdOf);
}

export function crdOf(definition: KindDefinition): JsonObject {
  const { group, kind, plural, shortNames } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/name': 'openservicemesh.io' } },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        // A short name that is the singular too is what OSM has, and the API server refuses neither.
        shortNames: [...shortNames],
        categories: ['mesh'],
      },
      conversion: { strategy: 'None' },
      versions: definition.versions.map((version, index) => ({
        name: version.name,
        served: true,
        storage: index === 0,
        ...(version.deprecationWarning === undefined
          ? {}
          : { deprecated: true, deprecationWarning: version.deprecationWarning }),
        additionalPrinterColumns: definition.columns.map((column): JsonObject => ({ ...column })),
        ...(definition.status === undefined ? {} : { subresources: { status: {} } }),
        schema: { openAPIV3Schema: rootSchema(definition) },
      })),
    },
  };
}

function rootSchema(definition: KindDefinition): JsonObject {
  const { kind, description, specDefault, status, rules } = definition;
  const spec = structural(definition.spec, `${kind}.spec`);
  return {
    type: 'object',
    description,
    ...(specDefault === undefined ? { required: ['spec'] } : {}),
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec,
      ...(status === undefined ? {} : { status: structural(status, `${kind}.status`) }),
    },
    ...(rules === undefined ? {} : { 'x-kubernetes-validations': rules.map(rootRule) }),
  };
}

/** The API server takes no fieldPath into metadata: messages of root rules name the field themselves. */
function rootRule({ rule, message }: Rule): JsonObject {
  return { rule, message };
}

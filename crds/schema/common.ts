/** Shapes that several kinds share. */
import { Type, type TObject, type TProperties, type TUnsafe } from 'typebox';
import { integer, list, name, object, oneOf, optional, port, text } from './kit.ts';

/** A quantity such as `100m`, `64Mi` or 2. */
const quantity: TUnsafe<string | number> = Type.Unsafe<string | number>({
  'x-kubernetes-int-or-string': true,
  anyOf: [{ type: 'integer' }, { type: 'string' }],
  pattern: '^[+-]?([0-9]+|[0-9]+[.][0-9]*|[.][0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$',
});

function quantities(description: string): TUnsafe<Record<string, string | number>> {
  return Type.Unsafe<Record<string, string | number>>({
    type: 'object',
    additionalProperties: quantity,
    description,
  });
}

/** core/v1 ResourceRequirements. */
export const resources = object('Compute resources of the container, as in a pod.', {
  limits: optional(quantities('The most that the container may use.')),
  requests: optional(quantities('What the scheduler sets aside for the container; limits, where left out.')),
  claims: optional(
    list(
      object('A claim of the pod that the container uses.', {
        name: name('Name of an entry of the pod’s `resourceClaims`.'),
        request: optional(text('One request of the claim; all of them where left out.')),
      }),
      'Dynamic resource claims.',
    ),
  ),
});

/** Loose on purpose: what no runtime could read as the reference of an image hangs every new pod, under a name of the kubelet's. */
const IMAGE = '[A-Za-z0-9]([A-Za-z0-9._/:@+-]*[A-Za-z0-9])?';

/** A container image, e.g. `registry.example/osm:2.0`. */
export function image(description: string): TUnsafe<string> {
  return text(description, { pattern: `^${IMAGE}$` });
}

/** The same, where an empty text leaves the choice to the mesh. */
export function imageOrDefault(description: string): TUnsafe<string> {
  return text(description, { default: '', pattern: `^(${IMAGE})?$` });
}

/** Kind, name and namespace of an object elsewhere; the kind is fixed. */
export function reference<const K extends string>(kind: K, description: string) {
  return object(description, {
    kind: oneOf([kind], `Always \`${kind}\`.`),
    name: name('Its name.'),
    namespace: name('Its namespace.'),
  });
}

export function namespacedName(description: string) {
  return object(description, { name: name('Its name.'), namespace: name('Its namespace.') });
}

export const portAndProtocol = (protocols: string) =>
  object('Port and the protocol spoken on it.', {
    number: port('The port’s number.'),
    protocol: text(protocols, { minLength: 1 }),
  });

/** core/v1 TypedLocalObjectReference. */
export const localReference = object('An object in the same namespace.', {
  apiGroup: name('Group and version, e.g. `specs.smi-spec.io/v1alpha4`.'),
  kind: name('Its kind.'),
  name: name('Its name.'),
});

/** A `status.conditions` list in the metav1 shape. */
export const conditions = list(
  object('One aspect of the object’s state.', {
    type: text('The aspect, e.g. `Ready`.', { maxLength: 316 }),
    status: oneOf(['True', 'False', 'Unknown'], 'Whether it holds.'),
    observedGeneration: optional(
      integer('`metadata.generation` that this was said of.', { format: 'int64', minimum: 0 }),
    ),
    lastTransitionTime: text('When `status` last changed.', { format: 'date-time' }),
    reason: text('Why, as one CamelCase word.', { minLength: 1, maxLength: 1024 }),
    message: text('Why, as a sentence.', { maxLength: 32768 }),
  }),
  'What is known of the object, one entry a type.',
  { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] },
);

/** Status of a kind of ours: conditions, and what is its own. */
export function statusOf<P extends TProperties>(properties: P): TObject<TProperties> {
  return object('What the mesh found; written by the control plane.', {
    ...properties,
    observedGeneration: optional(
      integer('`metadata.generation` that the status was made from.', { format: 'int64', minimum: 0 }),
    ),
    conditions: optional(conditions),
  });
}

/** The two fields that OSM declared in every policy's status. */
export const policyStatus = statusOf({
  currentStatus: optional(text('`committed`, or `error`.')),
  reason: optional(text('Why, as a sentence.')),
});

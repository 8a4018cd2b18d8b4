/** `MeshConfig.spec.controlPlane`: how injector and controller are run. */
import { anyObject, integer, list, name, object, oneOf, optional, section, stringMap, text } from './kit.ts';
import { image, resources } from './common.ts';

const tolerations = list(
  object('Lets the pods onto nodes with a matching taint.', {
    key: optional(text('The taint’s key; empty with `Exists` means every key.')),
    operator: optional(oneOf(['Exists', 'Equal'], '`Equal` where left out.')),
    value: optional(text('The taint’s value, for `Equal`.')),
    effect: optional(
      oneOf(['NoSchedule', 'PreferNoSchedule', 'NoExecute'], 'The taint’s effect; every one where left out.'),
    ),
    tolerationSeconds: optional(integer('For `NoExecute`: how long the pod may stay.', { format: 'int64' })),
  }),
  'As in a pod.',
);

function component(what: string) {
  return section(`How the ${what} is run.`, {
    replicas: integer(`Number of ${what} pods.`, { minimum: 1, maximum: 100, default: 2 }),
    resources: optional(resources),
    nodeSelector: optional(stringMap('Labels that a node must carry.')),
    tolerations: optional(tolerations),
    affinity: optional(anyObject('As in a pod.')),
  });
}

export const controlPlane = section('The mesh’s own pods.', {
  image: optional(image('Image of injector, controller and init container; the operator’s own where left out.')),
  imagePullPolicy: oneOf(['Always', 'IfNotPresent', 'Never'], 'When that image is pulled.', 'IfNotPresent'),
  imagePullSecrets: optional(
    list(
      object('A Secret in the control plane’s namespace.', { name: name('Its name.') }),
      'Credentials of the registry.',
    ),
  ),
  injector: component('injector'),
  controller: component('controller'),
});

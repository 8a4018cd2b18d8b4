/**
 * The ValidatingAdmissionPolicy that stands where the webhook does not: until a MeshConfig is reconciled, and whenever
 * the webhook configuration is missing, it refuses each pod that is meant to be in the mesh and carries no sidecar.
 * Also the pods that the webhook would refuse: none of them may start outside the mesh either. And what comes into a pod
 * later, which the webhook never sees: an ephemeral container that runs as the sidecar's user would bypass the mesh.
 */
import { EXEMPTIONS, celMeaning, quote, SOURCES } from './conditions.ts';
import { IGNORE, MONITORED_BY, SIDECAR_CONTAINER, SIDECAR_USER, SYSTEM_NAMESPACES, TRUST_DIRECTORY } from './names.ts';

export const GUARD_NAME = 'osm-sidecar-guard';
/** `data.state: released` disarms the guard; without data it is armed. */
export const GUARD_CONFIG_MAP = 'osm-guard';

/** An API object without a status. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

export function guardPolicy(controlPlaneNamespace = 'osm-system'): { policy: Manifest; binding: Manifest } {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const policy = {
    apiVersion,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: GUARD_NAME },
    spec: {
      failurePolicy: 'Fail',
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints: {
        matchPolicy: 'Equivalent',
        namespaceSelector: {
          matchExpressions: [
            { key: MONITORED_BY, operator: 'Exists' },
            { key: IGNORE, operator: 'DoesNotExist' },
            {
              key: 'kubernetes.io/metadata.name',
              operator: 'NotIn',
              values: [controlPlaneNamespace, ...SYSTEM_NAMESPACES],
            },
          ],
        },
        resourceRules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' },
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            operations: ['UPDATE'],
            resources: ['pods/ephemeralcontainers'],
            scope: 'Namespaced',
          },
        ],
      },
      variables: [
        { name: 'exempt', expression: EXEMPTIONS.map(({ cel }) => `(${cel(controlPlaneNamespace)})`).join(' || ') },
        ...SOURCES.map((source, index) => ({ name: meaningName(index), expression: celMeaning(source) })),
        { name: 'meant', expression: celMeant() },
        { name: 'sidecar', expression: celSidecar() },
        { name: 'released', expression: "params.?data[?'state'].orValue('') == 'released'" },
      ],
      validations: [
        {
          // A pod from before its namespace joined may be looked into: it is none of the mesh.
          expression:
            "request.operation != 'CREATE' || " +
            'variables.released || variables.exempt || !variables.meant || variables.sidecar',
          reason: 'Forbidden',
          message:
            `the pod is meant to be in the mesh (openservicemesh.io/sidecar-injection), but nothing has put the sidecar into it: ` +
            `apply a MeshConfig in ${controlPlaneNamespace} and wait until it is Ready, or see whether the injector is up ` +
            `(kubectl -n ${controlPlaneNamespace} get deployment osm-injector); to run it without the mesh, annotate it with openservicemesh.io/sidecar-injection: disabled`,
        },
        {
          expression: `request.operation != 'UPDATE' || variables.released || !variables.sidecar || !(${celSidecarUser()})`,
          reason: 'Forbidden',
          message:
            `the ephemeral container would run as user ${SIDECAR_USER}, which is the sidecar's: its traffic would bypass the mesh; ` +
            'choose another runAsUser (sidecar-user)',
        },
      ],
    },
  };
  const binding = {
    apiVersion,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: GUARD_NAME },
    spec: {
      policyName: GUARD_NAME,
      validationActions: ['Deny'],
      paramRef: {
        name: GUARD_CONFIG_MAP,
        namespace: controlPlaneNamespace,
        parameterNotFoundAction: 'Deny',
      },
    },
  };
  return { policy, binding };
}

function meaningName(index: number): string {
  return `said${index}`;
}

const said = (index: number) => `variables.${meaningName(index)}`;

/** As in decide.ts: anything unreadable or contradictory, or else the strongest source that says something says on. */
function celMeant(): string {
  const unreadable = SOURCES.map((_source, index) => `${said(index)} == 'unreadable'`);
  const contradictions = (['pod', 'namespace'] as const).map((owner) => {
    const own = SOURCES.flatMap((source, index) => (source.owner === owner ? [said(index)] : []));
    const says = (meaning: string) => own.map((one) => `${one} == ${quote(meaning)}`).join(' || ');
    return `((${says('on')}) && (${says('off')}))`;
  });
  const strongest = SOURCES.map((_source, index) => `${said(index)} != 'unset' ? ${said(index)} : `).join('');
  return `${[...unreadable, ...contradictions].join(' || ')} || (${strongest}'unset') == 'on'`;
}

function celSidecar(): string {
  const has = (list: string) =>
    `${list}.orValue([]).exists(c, c.name == ${quote(SIDECAR_CONTAINER)} && ` +
    `c.?volumeMounts.orValue([]).exists(m, m.mountPath == ${quote(TRUST_DIRECTORY)}))`;
  return `${has('object.spec.?initContainers')} || ${has('object.spec.?containers')}`;
}

/** As in refusals.ts. Only of what is new: one that stands cannot be taken out again, and would forbid every other. */
function celSidecarUser(): string {
  const added = (list: string, from: string) => `${list}.filter(c, !${from}.exists(former, former.name == c.name))`;
  const list = (pod: string) => `${pod}.spec.?ephemeralContainers.orValue([])`;
  const user = (holder: string) => `${holder}.?securityContext.?runAsUser`;
  return (
    `${added(list('object'), list('oldObject'))}` +
    `.exists(c, ${user('c')}.or(${user('object.spec')}).orValue(-1) == ${SIDECAR_USER})`
  );
}

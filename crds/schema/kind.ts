/** What makes a kind: its names, its versions, and the schema of `spec` (one for all versions) and of `status`. */
import type { TSchema } from 'typebox';
import type { Rule } from './kit.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'date' | 'integer';
  readonly jsonPath: string;
  readonly description?: string;
  /** Above 0: shown with `-o wide` only. */
  readonly priority?: number;
}

export interface KindVersion {
  readonly name: string;
  /** The sentence that kubectl prints; its presence marks the version as deprecated. */
  readonly deprecationWarning?: string;
}

export interface KindDefinition<S extends TSchema = TSchema> {
  readonly group: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  /** First sentence of the reference page and description of the root. */
  readonly description: string;
  /**
   * Served versions, the stored one first. They share one schema: with conversion strategy None, the API server prunes
   * by the stored version's schema too, so that a field of one version alone would be lost in silence.
   */
  readonly versions: readonly [KindVersion, ...KindVersion[]];
  readonly spec: S;
  /** Absent: `spec` must be there. `{}`: an object without `spec` is as good as one with an empty one. */
  readonly specDefault?: Record<string, never>;
  readonly status?: TSchema;
  /** Rules of the whole object; of metadata, CEL sees `name` and `generateName` only. */
  readonly rules?: readonly Rule[];
  readonly columns: readonly PrinterColumn[];
  /** Served and stored, so that manifests apply, but this version does not act on it yet. */
  readonly notYet?: true;
}

export const age: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** Ready and Reason, out of the condition `Ready`. */
export const readyColumns: readonly PrinterColumn[] = [
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
];

/** What the condition says, with `-o wide`; the last column, since it is long. */
export const readyMessage: PrinterColumn = {
  name: 'Message',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  priority: 1,
};

/** The API reference, one Markdown page a kind, made from the same schemas as the CRDs. */
import { noEffect, notYet } from './schema/kit.ts';
import type { KindDefinition } from './schema/kind.ts';
import { structural, type JsonObject } from './structural.ts';
import { isRecord } from './validate.ts';

export interface Page {
  /** File name without extension, e.g. `mesh-config`. */
  readonly name: string;
  readonly text: string;
}

/** The page of one kind. */
export function referencePage(definition: KindDefinition): Page {
  const { group, kind, plural, shortNames, versions, description, status } = definition;
  const lines = [
    `# ${kind}`,
    '',
    description,
    ...(definition.notYet === true ? ['', 'This version stores it and does not act on it yet.'] : []),
    '',
    '| | |',
    '| --- | --- |',
    `| apiVersion | ${versions.map((version, index) => versionText(group, version, index)).join(', ')} |`,
    `| kubectl | \`${plural}\`, ${shortNames.map((name) => `\`${name}\``).join(', ')}; category \`mesh\` |`,
    '| scope | namespaced |',
    '',
    '## spec',
    '',
    ...table(structural(definition.spec, `${kind}.spec`)),
    ...wholeObjectRules(definition),
  ];
  if (status !== undefined) lines.push('## status', '', ...table(structural(status, `${kind}.status`)));
  return { name: fileName(kind), text: `${lines.join('\n').trimEnd()}\n` };
}

/** The page that lists the others. */
export function referenceIndex(definitions: readonly KindDefinition[]): Page {
  const rows = definitions.map(
    ({ group, kind, versions, description }) =>
      `| [${kind}](${fileName(kind)}.md) | \`${group}\` | ${versions.map((version) => version.name).join(', ')} | ${description} |`,
  );
  return {
    name: 'README',
    text: [
      '# API reference',
      '',
      'Every kind that the mesh serves. A field that is marked with * must be given.',
      '',
      '| kind | group | versions (the first is stored) | |',
      '| --- | --- | --- | --- |',
      ...rows,
      '',
      '## Accepted without effect',
      '',
      'OSM 1.2 knew these fields and this mesh has no need of them: manifests that hold them apply, and nothing depends on',
      'their value. Every other field of OSM 1.2 is honoured, but for the next list.',
      '',
      ...marked(definitions, noEffect),
      '',
      '## Not acted on yet',
      '',
      'Stored, so that manifests apply; later versions act on them.',
      '',
      ...definitions
        .filter(({ notYet: idle }) => idle)
        .map(({ kind }) => `- the whole kind [${kind}](${fileName(kind)}.md)`),
      ...marked(
        definitions.filter(({ notYet: idle }) => !idle),
        notYet,
      ),
      '',
    ].join('\n'),
  };
}

/** One line for each field whose description holds the mark. */
function marked(definitions: readonly KindDefinition[], mark: string): string[] {
  return definitions.flatMap(({ kind, spec }) =>
    walk(structural(spec, kind), 'spec.')
      .filter(({ field }) => typeof field['description'] === 'string' && field['description'].includes(mark))
      .map(({ path }) => `- ${kind} \`${path}\``),
  );
}

/** `HTTPRouteGroup` → `http-route-group`. */
export function fileName(kind: string): string {
  return kind
    .replace(/([a-z])([A-Z])/g, '$1-$2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .toLowerCase();
}

function versionText(group: string, version: KindDefinition['versions'][number], index: number): string {
  const remarks = [
    ...(index === 0 ? ['stored'] : []),
    ...(version.deprecationWarning === undefined ? [] : ['deprecated']),
  ];
  return `\`${group}/${version.name}\`${remarks.length > 0 ? ` (${remarks.join(', ')})` : ''}`;
}

function wholeObjectRules({ rules }: KindDefinition): string[] {
  return rules === undefined ? [] : ['Also:', '', ...rules.map((rule) => `- ${rule.message}.`), ''];
}

function table(schema: JsonObject): string[] {
  const rows = fields(schema, '');
  if (rows.length === 0) return ['No fields.', ''];
  return ['| field | type | default | meaning |', '| --- | --- | --- | --- |', ...rows, ''];
}

function fields(schema: JsonObject, prefix: string): string[] {
  return walk(schema, prefix).map(({ path, field, required }) => {
    const mark = required ? '*' : '';
    return `| \`${path}\`${mark} | ${typeText(field)} | ${defaultText(field)} | ${meaning(field)} |`;
  });
}

interface Field {
  /** `matches[].name`. */
  readonly path: string;
  readonly field: JsonObject;
  readonly required: boolean;
}

/** Every field of an object schema and of the objects and lists in it, parents first. */
function walk(schema: JsonObject, prefix: string): Field[] {
  const properties = isRecord(schema['properties']) ? (schema['properties'] as Record<string, JsonObject>) : {};
  const required = Array.isArray(schema['required']) ? schema['required'] : [];
  return Object.entries(properties).flatMap(([name, field]) => {
    const path = `${prefix}${name}`;
    return [{ path, field, required: required.includes(name) }, ...below(field, path)];
  });
}

function below(field: JsonObject, path: string): Field[] {
  if (isRecord(field['properties'])) return walk(field, `${path}.`);
  const items = field['items'];
  return isRecord(items) && isRecord(items['properties']) ? walk(items as JsonObject, `${path}[].`) : [];
}

function typeText(field: JsonObject): string {
  if (Array.isArray(field['enum'])) return field['enum'].map((value) => `\`${plain(value)}\``).join(', ');
  if (field['x-kubernetes-int-or-string'] === true) return 'number or string';
  if (field['type'] === 'array') return `list of ${plural(field['items'])}`;
  if (isRecord(field['additionalProperties'])) return `map to ${typeText(field['additionalProperties'] as JsonObject)}`;
  return typeof field['type'] === 'string' ? field['type'] : 'any';
}

function plural(items: unknown): string {
  if (!isRecord(items)) return 'anything';
  const text = typeText(items as JsonObject);
  return Array.isArray(items['enum']) ? text : `${text}s`;
}

function defaultText(field: JsonObject): string {
  const fallback = field['default'];
  return fallback === undefined || isRecord(fallback) ? '' : `\`${JSON.stringify(fallback)}\``;
}

/** The description, then the bounds that the type column does not show, then the rules. */
function meaning(field: JsonObject): string {
  const rules = Array.isArray(field['x-kubernetes-validations']) ? field['x-kubernetes-validations'] : [];
  const sentences = [
    ...(typeof field['description'] === 'string' ? [field['description']] : []),
    ...range(field),
    ...rules.map((rule) => (isRecord(rule) ? `Rule: ${plain(rule['message'])}.` : '')),
  ];
  return sentences.join(' ').replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function range(field: JsonObject): string[] {
  const { minimum, maximum } = field;
  if (minimum !== undefined && maximum !== undefined) return [`${plain(minimum)}–${plain(maximum)}.`];
  if (minimum !== undefined) return [`At least ${plain(minimum)}.`];
  return [];
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What `generate.ts` writes: functions from sources to files. */
import { existsSync } from 'node:fs';
import { Document } from 'yaml';
import { kinds } from '#crds/kinds.ts';
import { crdOf } from '#crds/manifests.ts';
import type { GeneratedFile, Generator } from './generated-files.ts';
import { fileName, referenceIndex, referencePage } from '#crds/reference.ts';

/** One row a kind of generated file. */
export const generators: readonly Generator[] = [
  { what: 'CRDs', files: crdFiles, owns: [{ folder: 'crds', ending: '.yaml' }] },
  { what: 'API reference', files: referenceFiles, owns: [{ folder: 'docs/reference', ending: '.md' }] },
  { what: 'install manifest', files: installFiles, owns: [] },
];

/**
 * YAML that every reader takes for the same: 1.1 quotes what older readers (kubectl's among them) would take for a
 * boolean, such as the log level `off`.
 */
export function toYaml(value: unknown): string {
  return new Document(value, { version: '1.1', aliasDuplicateObjects: false }).toString({
    lineWidth: 0,
    directives: false,
  });
}

function crdFiles(): GeneratedFile[] {
  return kinds.map((definition) => ({
    path: `crds/${fileName(definition.kind)}.yaml`,
    text: `# Made from crds/schema/ by "npm run generate"; do not edit.\n${toYaml(crdOf(definition))}`,
  }));
}

function referenceFiles(): GeneratedFile[] {
  const note = '<!-- Made from crds/schema/ by "npm run generate"; do not edit. -->\n\n';
  return [referenceIndex(kinds), ...kinds.map(referencePage)].map((page) => ({
    path: `docs/reference/${page.name}.md`,
    text: `${note}${page.text}`,
  }));
}

/** `deploy/install.yaml`, by cdk8s; loaded only now, since the rest needs none of it. */
async function installFiles(): Promise<GeneratedFile[]> {
  const source = new URL('../cdk8s/install.ts', import.meta.url);
  if (!existsSync(source)) return [];
  const { renderInstall } = (await import(source.href)) as { renderInstall: () => string };
  return [{ path: 'deploy/install.yaml', text: renderInstall() }];
}

// Completes package-lock.json with the optional packages of other platforms that the registry in use does not serve. `npm install`
// leaves them out, and `npm ci` then calls the lock out of step. Run it after `npm install`; it writes only what is missing.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const path = join(dirname(fileURLToPath(import.meta.url)), '..', 'package-lock.json');
const lock = JSON.parse(readFileSync(path, 'utf8'));
const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = { armv7: 'arm', 'arm-eabi': 'arm', 'arm-gnueabihf': 'arm', 'arm-musleabihf': 'arm' };

let added = 0;
for (const [place, entry] of Object.entries({ ...lock.packages })) {
  if (place === '') continue;
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (
      lock.packages[`node_modules/${name}`] !== undefined ||
      lock.packages[`${place}/node_modules/${name}`] !== undefined
    )
      continue;
    const system = systems.find((one) => name.includes(one));
    if (system === undefined) continue;
    const rest = name.slice(name.indexOf(system) + system.length + 1);
    const libc = rest.endsWith('musl') ? ['musl'] : rest.endsWith('gnu') ? ['glibc'] : undefined;
    const cpu = processors[rest] ?? rest.split('-')[0];
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu: [cpu],
      ...(entry.dev === true ? { dev: true } : {}),
      ...(libc === undefined ? {} : { libc }),
      optional: true,
      os: [system],
    };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} packages of other platforms added to package-lock.json`);

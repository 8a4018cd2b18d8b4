/** The init container's script in a network namespace of its own, with the capability that it has in a pod and no other. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { initContainer } from '#webhook/inject/containers.ts';
import { injectSettings } from '../unit/webhook/settings.ts';

describe('redirect rules in a network namespace', function () {
  this.timeout(60_000);
  let name: string;

  before(function () {
    // Making a network namespace needs root; everything else of the rules is in the goldens.
    if (process.getuid?.() !== 0) this.skip();
  });

  beforeEach(() => {
    name = `osm-rules-${randomBytes(4).toString('hex')}`;
    execFileSync('ip', ['netns', 'add', name]);
    within('ip', 'link', 'set', 'lo', 'up');
    within('ip', 'address', 'add', '10.9.8.7/32', 'dev', 'lo');
  });

  afterEach(() => {
    execFileSync('ip', ['netns', 'delete', name]);
  });

  function within(...command: string[]): string {
    return execFileSync('ip', ['netns', 'exec', name, ...command], { encoding: 'utf8' });
  }

  function runInit(ips: string, changes: Parameters<typeof injectSettings>[0] = {}): void {
    const settings = injectSettings(changes);
    const script = initContainer(settings, settings).args?.[0]?.replaceAll('$$', '$') ?? '';
    const result = spawnSync(
      'ip',
      [
        'netns',
        'exec',
        name,
        'setpriv',
        '--bounding-set=-all,+net_admin',
        '--inh-caps=-all,+net_admin',
        '/bin/sh',
        '-c',
        script,
      ],
      { env: { PATH: process.env['PATH'], POD_IPS: ips }, encoding: 'utf8' },
    );
    assert.equal(result.status, 0, result.stderr);
  }

  const rules = (program: string) =>
    within(`${program}-save`, '-t', 'nat')
      .split('\n')
      .filter((line) => line.startsWith('-A'));

  it('are the same after the init container ran again', () => {
    runInit('10.9.8.7,fd00::7');
    const [v4, v6] = [rules('iptables'), rules('ip6tables')];
    assert.ok(v4.length >= 12 && v6.length >= 12, [...v4, ...v6].join('\n'));
    runInit('10.9.8.7,fd00::7');
    assert.deepEqual([rules('iptables'), rules('ip6tables')], [v4, v6]);
  });

  it('take lists of more than 15 ports, ranges of both families and PodIP mode', () => {
    runInit('10.9.8.7,fd00::7', {
      localProxyMode: 'PodIP',
      outboundPortExclusions: Array.from({ length: 33 }, (_, index) => 7000 + index),
      inboundPortExclusions: [22],
      outboundRangeExclusions: ['192.168.0.0/16', 'fd01::/64'],
      outboundRangeInclusions: ['10.0.0.0/8'],
      interfaceExclusions: ['vpn0'],
    });
    const v4 = rules('iptables');
    const v6 = rules('ip6tables');
    assert.equal(v4.filter((rule) => rule.includes('OUTBOUND') && rule.includes('multiport')).length, 3);
    assert.match(v4.find((rule) => rule.startsWith('-A OUTPUT')) ?? '', /DNAT --to-destination 10\.9\.8\.7$/);
    assert.match(v6.find((rule) => rule.startsWith('-A OUTPUT')) ?? '', /DNAT --to-destination fd00::7$/);
    assert.ok(v4.some((rule) => rule.includes('192.168.0.0/16')) && !v6.some((rule) => rule.includes('192.168')));
    assert.ok(v6.some((rule) => rule.includes('fd01::/64')));
    // Only IPv4 ranges are included: of IPv6 nothing is redirected.
    assert.equal(
      v6.some((rule) => rule.includes('OUTBOUND') && rule.endsWith('-j OSM_PROXY_OUT_REDIRECT')),
      false,
    );
  });

  it('send a stranger’s connection to 15001 and let user 1500 and exempt ports through', () => {
    runInit('10.9.8.7');
    within('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far');
    within('ip', 'address', 'add', '10.1.0.1/24', 'dev', 'eth0');
    within('ip', 'link', 'set', 'eth0', 'up');
    within('ip', 'link', 'set', 'far', 'up');
    // One answer on 15001; what is not redirected leads to nobody.
    const program = `
      const net = require('node:net');
      const { execFileSync, spawnSync } = require('node:child_process');
      const server = net.createServer((socket) => socket.end('redirected'));
      server.listen(15001, '0.0.0.0', () => {
        const ask = (uid, port) => new Promise((done) => {
          const code = "const s=require('node:net').connect(" + port + ",'10.1.0.9');s.setTimeout(500,()=>{console.log('silence');s.destroy()});s.on('data',(d)=>{console.log(String(d))});s.on('error',(e)=>console.log(e.code))";
          require('node:child_process').execFile('setpriv', ['--reuid', String(uid), '--clear-groups', process.execPath, '-e', code], (error, out) => done(error ? String(error) : out.trim()));
        });
        (async () => {
          console.log(JSON.stringify({ stranger: await ask(1000, 80), sidecar: await ask(1500, 80), admin: await ask(1000, 15000) }));
          server.close();
        })();
      });`;
    const answers = JSON.parse(within(process.execPath, '-e', program)) as Record<string, string>;
    assert.equal(answers['stranger'], 'redirected');
    assert.notEqual(answers['sidecar'], 'redirected');
    assert.notEqual(answers['admin'], 'redirected');
  });
});

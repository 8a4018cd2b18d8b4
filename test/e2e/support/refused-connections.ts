/** What the sidecar of a workload said of connections that it refused (xds/translate/refused-connections.ts). */
import { eventually } from '#test/support/eventually.ts';
import { lab } from './lab.ts';

export interface RefusedConnection {
  readonly reason: string;
  /** `address:port`. */
  readonly downstream_remote_address: string;
  readonly downstream_local_address: string;
  /** This and what follows are the called sidecar's only. */
  readonly downstream_transport_failure_reason?: string | null;
  readonly downstream_peer_uri_san?: string | null;
  readonly requested_server_name?: string | null;
}

/** Waits for a line that fits: Envoy writes its log every 10 s. `since` is RFC 3339. */
export function refusedConnection(
  namespace: string,
  app: string,
  since: string,
  fits: (line: RefusedConnection) => boolean,
): Promise<RefusedConnection> {
  let seen: RefusedConnection[] = [];
  return eventually(
    `a line of ${namespace}/${app}'s sidecar about a refused connection`,
    async () => {
      const from = ['-n', namespace, `deployment/${app}`, '-c', 'envoy', '--since-time', since];
      const log = await lab.kubectl(['logs', ...from]);
      seen = log
        .split('\n')
        .filter((line) => line.startsWith('{') && line.includes('"reason"'))
        .map((line) => JSON.parse(line) as RefusedConnection);
      return seen.find(fits);
    },
    { deadlineMs: 30_000, state: async () => JSON.stringify(seen) },
  );
}

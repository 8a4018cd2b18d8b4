/** How the controller gets a token of Vault's, and keeps it alive. */
import { CertificateError } from '../error.ts';
import { SecretBytes } from '../secret-bytes.ts';
import type { VaultSpec } from './provider.ts';
import { type VaultAnswer, type VaultHttp, VaultRefusal } from './vault-http.ts';

export interface VaultLogin {
  /** A token that has not ended as far as we know. Throws a CertificateError. */
  token(): Promise<SecretBytes>;
  /** Vault refused this token: another is fetched at the next call. */
  refused(token: SecretBytes): void;
}

export interface VaultLoginOptions {
  readonly http: VaultHttp;
  readonly login: VaultSpec['login'];
  /** A value in a Secret of the control plane's namespace. Throws a CertificateError when it is not there. */
  readonly readSecret: (name: string, key: string) => Promise<SecretBytes>;
  /** The controller's own projected token for Vault. */
  readonly readServiceAccountToken: () => Promise<SecretBytes>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** A Secret is read again after this long, so that a token that was replaced is taken up before the old one ends. */
const secretReadMs = 60_000;

interface Held {
  readonly token: SecretBytes;
  /** Milliseconds since 1970 at which another is fetched. */
  readonly until: number;
}

export function createVaultLogin(options: VaultLoginOptions): VaultLogin {
  const { http, login, now } = options;
  let held: Held | undefined;
  let fetching: Promise<Held> | undefined;
  /** When the token from the Secret is next renewed; it belongs to the token that `renewing` holds. */
  let renewAt = 0;
  let renewing: string | undefined;

  function fetchToken(): Promise<Held> {
    return login.kind === 'kubernetes'
      ? logIn(login.mount, login.role)
      : readToken(login.secret.name, login.secret.key);
  }

  async function logIn(mount: string, role: string): Promise<Held> {
    const jwt = await options.readServiceAccountToken();
    let answer: VaultAnswer;
    try {
      // Revealed into the body alone: Vault takes it nowhere else.
      answer = await http.call({
        method: 'POST',
        path: `auth/${mount}/login`,
        body: { role, jwt: jwt.revealText().trim() },
      });
    } catch (error) {
      if (!(error instanceof VaultRefusal)) throw error;
      if (error.status >= 500 || error.status === 429) {
        throw new CertificateError('provider-unreachable', error.message, { cause: error });
      }
      throw new CertificateError(
        'vault-login-refused',
        `${error.message}; role ${role} of auth/${mount} must be bound to the controller's service account and to audience vault`,
        { cause: error },
      );
    }
    const token = answer.auth?.client_token;
    if (!token) throw new CertificateError('vault-login-refused', `Vault's auth/${mount}/login gave no token`);
    const seconds = answer.auth?.lease_duration ?? 0;
    // A new login is always possible, so nothing is renewed; well before the end, since Vault may be away just then.
    const lasts = seconds > 0 ? (seconds * 1_000 * 2) / 3 : Number.POSITIVE_INFINITY;
    return { token: new SecretBytes(token), until: now() + lasts };
  }

  async function readToken(name: string, key: string): Promise<Held> {
    const token = await options.readSecret(name, key);
    await keepAlive(token);
    return { token, until: now() + secretReadMs };
  }

  /** Renews a renewable token at half its life. Whatever goes wrong here shows when the token is used. */
  async function keepAlive(token: SecretBytes): Promise<void> {
    const known = token.revealText();
    if (known !== renewing) {
      renewing = known;
      renewAt = 0;
    }
    if (now() < renewAt) return;
    try {
      const self = await http.call({ method: 'GET', path: 'auth/token/lookup-self', token });
      const ttl = Number(self.data?.['ttl'] ?? 0);
      if (self.data?.['renewable'] !== true || ttl === 0) {
        renewAt = Number.POSITIVE_INFINITY;
        return;
      }
      const renewed = await http.call({ method: 'POST', path: 'auth/token/renew-self', token, body: {} });
      renewAt = now() + ((renewed.auth?.lease_duration ?? ttl) * 1_000) / 2;
    } catch {
      renewAt = now() + secretReadMs;
    }
  }

  return {
    async token() {
      if (held !== undefined && now() < held.until) return held.token;
      fetching ??= fetchToken().finally(() => {
        fetching = undefined;
      });
      held = await fetching;
      return held.token;
    },
    refused(token) {
      if (held?.token === token) held = undefined;
    },
  };
}

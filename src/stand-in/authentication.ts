import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { isSameSecret } from '../net/same-secret.js';
import { FlagError, type Flags } from './flags.js';
import { HttpReply } from './http.js';

/** Mesos 1.3.2 has three authentication realms on a master and two on an agent. */
export type Realm =
  | 'mesos-master-readonly'
  | 'mesos-master-readwrite'
  | 'mesos-master-scheduler'
  | 'mesos-agent-readonly'
  | 'mesos-agent-readwrite';

/** Access control: secrets by principal, for the realms that require authentication. */
export class Authentication {
  readonly #realms: ReadonlySet<Realm>;
  readonly #secrets: ReadonlyMap<string, string>;

  constructor(realms: readonly Realm[], secrets: ReadonlyMap<string, string>) {
    this.#realms = new Set(realms);
    this.#secrets = secrets;
  }

  /**
   * The principal of a request (HTTP basic); undefined where the realm requires none.
   *
   * @throws HttpReply 401, before anything else of the request is checked, as in Mesos
   */
  principalOf(request: IncomingMessage, realm: Realm): string | undefined {
    if (!this.#realms.has(realm)) return undefined;
    const [scheme, encoded, ...rest] = (request.headers.authorization ?? '').split(' ');
    const [principal, secret, ...more] = Buffer.from(encoded ?? '', 'base64')
      .toString('utf8')
      .split(':');
    const known = principal === undefined ? undefined : this.#secrets.get(principal);
    const isRight =
      scheme === 'Basic' &&
      rest.length === 0 &&
      more.length === 0 &&
      secret !== undefined &&
      known !== undefined &&
      isSameSecret(secret, known);
    if (!isRight) throw new HttpReply(401, '', { 'WWW-Authenticate': `Basic realm="${realm}"` });
    return principal;
  }
}

/** @throws FlagError with Mesos' message when authentication is on and its credentials are missing */
export function masterAuthentication(flags: Flags): Authentication {
  if (
    flags.isTrue('authenticate_http_frameworks') &&
    flags.optional('http_framework_authenticators') === undefined
  ) {
    throw new FlagError(
      'Missing `--http_framework_authenticators` flag. This must be used in conjunction with `--authenticate_http_frameworks`',
    );
  }
  return authentication(flags, 'credentials', {
    authenticate_http_readonly: 'mesos-master-readonly',
    authenticate_http_readwrite: 'mesos-master-readwrite',
    authenticate_http_frameworks: 'mesos-master-scheduler',
  });
}

/** @throws FlagError */
export function agentAuthentication(flags: Flags): Authentication {
  return authentication(flags, 'http_credentials', {
    authenticate_http_readonly: 'mesos-agent-readonly',
    authenticate_http_readwrite: 'mesos-agent-readwrite',
  });
}

function authentication(
  flags: Flags,
  credentials: 'credentials' | 'http_credentials',
  realms: Readonly<Record<string, Realm>>,
): Authentication {
  const wanted = Object.entries(realms).flatMap(([flag, realm]) => (flags.isTrue(flag) ? [realm] : []));
  const file = flags.optional(credentials);
  const [first] = wanted;
  if (first !== undefined && file === undefined) {
    throw new FlagError(
      `No credentials provided for the default 'basic' HTTP authenticator for realm '${first}'`,
    );
  }
  return new Authentication(wanted, file === undefined ? new Map() : readCredentials(file));
}

/** JSON with a list `credentials`, or one principal and secret per line. */
function readCredentials(flag: string): ReadonlyMap<string, string> {
  const path = flag.replace(/^file:\/\//, '');
  try {
    const text = readFileSync(path, 'utf8');
    return new Map(text.trimStart().startsWith('{') ? fromJson(text) : fromLines(text));
  } catch {
    // Neither the text nor a parser error that quotes it may be logged.
    throw new FlagError(`Failed to read the credentials in '${path}'`);
  }
}

function fromJson(text: string): [string, string][] {
  const { credentials } = JSON.parse(text) as { credentials: { principal: unknown; secret: unknown }[] };
  return credentials.map(({ principal, secret }) => [String(principal), String(secret)]);
}

function fromLines(text: string): [string, string][] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([principal, secret]) =>
      principal !== undefined && secret !== undefined ? [[principal, secret]] : [],
    );
}

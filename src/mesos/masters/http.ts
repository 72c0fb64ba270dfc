import * as z from 'zod';
import { PerijoveError } from '../../errors/error.js';
import { hostsWithRole, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import type { Endpoint } from '../../ssh/connection.js';
import type { Reach } from '../../ssh/reach.js';

/** Where a master listens, as the cluster sees it. */
export interface MasterAddress {
  /** IPv4 address or host name. */
  readonly host: string;
  readonly port: number;
}

/** A principal and its secret, for HTTP basic authentication. */
export interface Credential {
  readonly principal: string;
  readonly secret: string;
}

const credentialSchema = z.object({ principal: z.string(), secret: z.string() });

/**
 * Reads the secret `mesos-credential`: a JSON object, or `principal secret` on one line, the two forms that
 * `--credential` of a Mesos agent accepts.
 *
 * @throws PerijoveError SECRETS_DAMAGED when it is neither
 */
export function parseCredential(text: string): Credential {
  try {
    const [principal, secret, ...rest] = text.trim().split(/\s+/);
    const isPlain = !text.trimStart().startsWith('{') && rest.length === 0;
    return credentialSchema.parse(isPlain ? { principal, secret } : JSON.parse(text));
  } catch {
    // Neither the text nor the parser's message may appear in an error.
    throw new PerijoveError(
      'SECRETS_DAMAGED',
      'the secret mesos-credential contains no principal and secret',
      {
        subject: 'mesos-credential',
      },
    );
  }
}

export function authorization(credential: Credential | undefined): Record<string, string> {
  if (credential === undefined) return {};
  const pair = Buffer.from(`${credential.principal}:${credential.secret}`).toString('base64');
  return { authorization: `Basic ${pair}` };
}

/**
 * How to dial a master that ZooKeeper, a redirect or another master named: through its own host. What dials with it
 * sends a credential, so it dials nothing but a master of the spec.
 *
 * @throws PerijoveError MESOS_ADDRESS_REFUSED, and what the way to the host throws
 */
export function masterReach(spec: ClusterSpec, reach: Reach): (master: MasterAddress) => Promise<Endpoint> {
  return async (master) => {
    const host = requireMaster(spec, master);
    return await reach.via(host.name, host.address, master.port);
  };
}

/** The host of a master of the spec. @throws PerijoveError MESOS_ADDRESS_REFUSED for any other address */
export function requireMaster(spec: ClusterSpec, master: MasterAddress): HostSpec {
  const host = masterAt({ hosts: hostsWithRole(spec, 'master') }, master);
  if (host !== undefined) return host;
  const subject = `${master.host}:${master.port}`;
  throw new PerijoveError(
    'MESOS_ADDRESS_REFUSED',
    `${subject} is named as a Mesos master, and is none of the spec`,
    { subject },
  );
}

/** The host in the spec whose master has this address or name; undefined for a master outside the spec. */
export function masterAt(
  { hosts }: Pick<ClusterSpec, 'hosts'>,
  { host: name, port }: MasterAddress,
): HostSpec | undefined {
  return hosts.find(
    (each) => each.ports.master === port && (each.address === name || each.hostname === name),
  );
}

/** `Location: //host:port/path`, the response of a master that does not lead. */
export function redirectTarget(location: string | undefined): MasterAddress | undefined {
  const match = /^(?:http:)?\/\/([^/:]+):(\d+)(?:\/|$)/.exec(location ?? '');
  if (match?.[1] === undefined) return undefined;
  return { host: match[1], port: Number(match[2]) };
}

/** The error for an unexpected response; the texts are those of Mesos 1.3.2. */
export function refusal(status: number, body: string, master: MasterAddress, what: string): PerijoveError {
  const subject = `${master.host}:${master.port}`;
  const said = body.trim() === '' ? `${status}` : `${status}: ${body.trim().slice(0, 300)}`;
  const message = `the Mesos master at ${subject} answered ${what} with ${said}`;
  if (status === 307 || status >= 500) return new PerijoveError('MESOS_UNREACHABLE', message, { subject });
  if (
    /^Framework is not subscribed/.test(body) ||
    /^The stream ID .* didn't match/.test(body) ||
    /^Framework cannot be found/.test(body)
  ) {
    return new PerijoveError('MESOS_STREAM_LOST', message, { subject });
  }
  if (status === 401 || /^Authenticated principal '.*' does not match/.test(body)) {
    return new PerijoveError('MESOS_CREDENTIAL_REFUSED', message, { subject });
  }
  if (status === 403) return new PerijoveError('MESOS_REFUSED', message, { subject });
  if (status === 404) return new PerijoveError('MESOS_BAD_STREAM', message, { subject });
  return new PerijoveError('MESOS_BAD_REQUEST', message, { subject });
}

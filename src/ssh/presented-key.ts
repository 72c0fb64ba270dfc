import type { Logger } from 'pino';
import { PerijoveError } from '../errors/error.js';
import type { SshTarget } from '../cluster/spec.js';
import { certifiedType, parseCertificate } from './certificate.js';
import { allAlgorithms, type HostKeyCheck } from './host-keys.js';
import { keyType } from './known-hosts.js';
import { SshTransport } from './transport.js';

export interface Presenter {
  /** Name of the host, for errors. */
  readonly host: string;
  readonly target: SshTarget;
  /** The jump host, whose own key is verified. */
  readonly jump?: SshTarget;
}

/**
 * The key that an SSH server presents now, known or not; of a certificate, the key in it. Nobody logs in to it, and
 * nothing is pinned for it.
 *
 * @throws PerijoveError SSH_*
 */
export async function presentedKey(
  { host, target, jump }: Presenter,
  { knownHostsDir, logger }: { readonly knownHostsDir: string; readonly logger: Logger },
): Promise<Buffer> {
  let key: Buffer | undefined;
  const hostKeys: HostKeyCheck = {
    algorithms: allAlgorithms,
    verify: (presented) => {
      const isCertificate = certifiedType(keyType(presented) ?? '') !== undefined;
      key = Buffer.from((isCertificate ? parseCertificate(presented)?.key : undefined) ?? presented);
      return Promise.resolve(new PerijoveError('SSH_LOST', `${host}: its key has been seen`, { host }));
    },
  };
  const through =
    jump && new SshTransport({ host: `${host} (jump host)`, target: jump, knownHostsDir, logger });
  const transport = new SshTransport({
    ...{ host, target, ...(through && { through }), knownHostsDir, hostKeys, logger },
  });
  try {
    await transport.client();
  } catch (error) {
    if (key === undefined) throw error;
  } finally {
    await transport.end();
    await through?.end();
  }
  if (key === undefined) throw new PerijoveError('SSH_LOST', `${host} presented no key`, { host });
  return key;
}

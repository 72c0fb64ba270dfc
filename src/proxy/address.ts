/** Jupyter through the proxy of a host, as Perijove itself asks it. */
import type http from 'node:http';
import { certificatesIn } from '../cluster/certificate.js';
import { PerijoveError } from '../errors/error.js';
import { PinnedAgent } from '../net/pinned-agent.js';
import type { ClusterSpec, HostSpec } from '../cluster/spec.js';
import type { SshPool } from '../ssh/connection.js';
import type { Reach } from '../ssh/reach.js';
import { quote } from '../ssh/shell.js';
import { certificateFile } from './items.js';

export interface ProxyAddress {
  /** Without a trailing slash. */
  readonly url: string;
  /** Over HTTPS: accepts only the certificate that is on the host. */
  readonly agent?: http.Agent;
}

/**
 * The address of a host's proxy. With `proxy.tls`, the certificate is read from the host over SSH, and the proxy must
 * present that one: people check its name, which need not be an address of the host.
 *
 * @throws PerijoveError PROXY_CERTIFICATE_ABSENT, SSH_*
 */
export async function proxyAddress(
  spec: Pick<ClusterSpec, 'proxy'>,
  proxyHost: HostSpec,
  { pool, reach }: { readonly pool: SshPool; readonly reach: Reach },
): Promise<ProxyAddress> {
  const { host, port } = await reach.via(proxyHost.name, proxyHost.address, proxyHost.ports.proxy);
  if (spec.proxy.tls === undefined) return { url: `http://${host}:${port}` };
  const file = certificateFile(spec, proxyHost);
  // The key is in the same file: it stays on the host.
  const script = `[ ! -e ${quote(file)} ] || sed -n '/^-----BEGIN CERTIFICATE-----/,/^-----END CERTIFICATE-----/p' ${quote(file)}`;
  const [certificate] = certificatesIn(await (await pool.get(proxyHost)).run(script));
  if (certificate === undefined) {
    throw new PerijoveError('PROXY_CERTIFICATE_ABSENT', `${proxyHost.name}: ${file} has no certificate`, {
      host: proxyHost.name,
    });
  }
  return { url: `https://${host}:${port}`, agent: new PinnedAgent(certificate) };
}

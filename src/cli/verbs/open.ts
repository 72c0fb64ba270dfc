import { readFile } from 'node:fs/promises';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import { hostsWithRole, proxyUrl, tlsFiles, type ClusterSpec, type HostSpec } from '../../cluster/spec.js';
import type { SshPool } from '../../ssh/connection.js';
import { workflowIds } from '../../temporal/contract.js';
import { choices } from '../../cluster/nearest.js';
import { listens } from '../../net/listens.js';
import { defineCommand, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printNotice, printText } from '../io.js';
import { fileOption, openSpec } from '../spec-file.js';
import { temporalOptions } from '../temporal.js';
import { temporalUi } from '../temporal-ui.js';
import { pageRecordFile } from '../status-page.js';

const pages = ['jupyter', 'temporal', 'mesos', 'status'] as const;
type Page = (typeof pages)[number];

interface PageAddress {
  /** Host name; absent for pages not on a host. */
  readonly host?: string;
  readonly url: string;
}

export const openCommand = defineCommand({
  name: 'open',
  summary: 'open Jupyter, Temporal, Mesos or the status page in the browser',
  description:
    'With --url it prints the address instead. For Jupyter there is one address per host, and it contains the ' +
    'token, which no other command prints. With --host it uses the address of that host. The status page is the ' +
    'one that `perijove ui` serves on this machine.',
  args: { page: { description: 'jupyter, temporal, mesos or status', choices: pages } },
  options: {
    file: fileOption,
    url: { flags: '--url', description: 'print the address and do not open it' },
    host: { flags: '--host <name>', description: 'use the proxy of this host for Jupyter' },
    ...temporalOptions,
  },
  async run(context, { args, options }) {
    const page = pages.find((each) => each === args.page);
    if (page === undefined) {
      throw new PerijoveError('USAGE', `unknown page \`${args.page}\``, {
        remedy: choices(args.page, pages),
      });
    }
    const { spec, absolute } = await openSpec(context, options.file);
    const find: Record<Page, () => Promise<readonly PageAddress[]>> = {
      jupyter: () => withHosts(context, (pool) => jupyterAddresses(pool, spec, context)),
      mesos: () => withHosts(context, (pool) => mesosAddress(pool, spec)),
      temporal: async () => {
        const workflow = encodeURIComponent(workflowIds.deploy(spec.name));
        return [{ url: `${await temporalUi(context, options, absolute)}/workflows/${workflow}` }];
      },
      status: () => statusAddress(spec, absolute, context),
    };
    const found = (await find[page]()).filter(
      ({ host }) => options.host === undefined || host === options.host,
    );
    const [first] = found;
    if (!first) {
      const names = hostsWithRole(spec, 'proxy').map(({ name }) => name);
      throw new PerijoveError('UNKNOWN_TARGET', `no proxy runs on \`${options.host ?? ''}\``, {
        remedy: choices(options.host ?? '', names),
      });
    }
    if (page === 'mesos' && spec.mesos.principal !== undefined) {
      printNotice(
        context,
        `Log in to Mesos as ${spec.mesos.principal}; the secret is in etc/secrets/mesos-credential on any host.\n`,
      );
    }
    if (context.json) printJson(context, found);
    else if (options.url) for (const { url } of found) context.stdout.write(`${url}\n`);
    else await openInBrowser(context, first.url);
    return exitCodes.done;
  },
});

/** One URL per proxy, with the token. @throws PerijoveError SSH_*, SECRETS_ABSENT */
async function jupyterAddresses(
  pool: SshPool,
  spec: ClusterSpec,
  context: CommandContext,
): Promise<PageAddress[]> {
  const { readSecrets } = await import('../../hosts/secrets.js');
  const { 'jupyter-token': token } = await readSecrets(pool, spec, ['jupyter-token']);
  const proxies = hostsWithRole(spec, 'proxy');
  const names = await certifiedNames(spec, proxies, context);
  return proxies.map((host) => ({
    host: host.name,
    url: `${proxyUrl(spec, host, names.get(host))}/lab?token=${encodeURIComponent(token)}`,
  }));
}

/** By which name a browser accepts the certificate of each host. Notifies if there is none. */
async function certifiedNames(
  spec: ClusterSpec,
  proxies: readonly HostSpec[],
  context: CommandContext,
): Promise<ReadonlyMap<HostSpec, string>> {
  const tls = tlsFiles(spec);
  // That of the cluster is for all names and addresses of hosts.
  if (tls === undefined) return new Map();
  const { nameOfHost, namesIn } = await import('../../cluster/certificate.js');
  let text: string;
  try {
    text = await readFile(tls.certificateFile, 'utf8');
  } catch {
    printNotice(
      context,
      `${tls.certificateFile} cannot be read here, so the addresses may differ from the names of the certificate.\n`,
    );
    return new Map();
  }
  const named = proxies.map((host) => [host, nameOfHost(text, host)] as const);
  const without = named.flatMap(([host, name]) => (name === undefined ? [host.name] : []));
  if (without.length > 0) {
    printNotice(
      context,
      `The certificate is for ${namesIn(text)}, and not for ${without.join(', ')}: browsers warn at ` +
        'these addresses. Use a name of the certificate that leads to the hosts.\n',
    );
  }
  return new Map(named.flatMap(([host, name]) => (name === undefined ? [] : [[host, name]])));
}

/** @throws PerijoveError ADDRESS_UNKNOWN */
async function mesosAddress(pool: SshPool, spec: ClusterSpec): Promise<PageAddress[]> {
  const [{ sshReach }, { masterLeader }] = await Promise.all([
    import('../../ssh/reach.js'),
    import('../../mesos/masters/operator-client.js'),
  ]);
  const reach = sshReach(pool, spec);
  const leader = await Promise.any(
    hostsWithRole(spec, 'master').map(async (host) => {
      const endpoint = await reach.via(host.name, host.address, host.ports.master);
      const named = await masterLeader(endpoint, { timeoutMs: 5_000 });
      if (!named) throw new Error(`${host.name} names no leader`);
      return named;
    }),
  ).catch((cause: unknown) => {
    throw new PerijoveError('ADDRESS_UNKNOWN', 'no Mesos master names a leading master', { cause });
  });
  const host = spec.hosts.find(
    ({ address, hostname, ports }) =>
      ports.master === leader.port && (address === leader.host || hostname === leader.host),
  );
  const url = `http://${host?.address ?? leader.host}:${leader.port}/`;
  return [host ? { host: host.name, url } : { url }];
}

/** @throws PerijoveError ADDRESS_UNKNOWN when no `perijove ui` of this cluster runs on this machine */
async function statusAddress(
  spec: ClusterSpec,
  specFile: string,
  { env }: CommandContext,
): Promise<PageAddress[]> {
  const [{ readRecord }, { loginUrl }] = await Promise.all([
    import('../../ui/record.js'),
    import('../../ui/access.js'),
  ]);
  const record = await readRecord(pageRecordFile(spec, specFile, env));
  if (record === undefined || !(await listens(new URL(record.origin).host, 2_000))) {
    throw new PerijoveError('ADDRESS_UNKNOWN', `no status page of ${spec.name} runs on this machine`, {
      remedy: 'Start it with `perijove ui`.',
    });
  }
  return [{ url: loginUrl(record.origin, record.token) }];
}

async function openInBrowser(context: Parameters<typeof openCommand.run>[0], url: string): Promise<void> {
  const { openPage } = await import('../browser.js');
  await openPage(url, context.env);
  const { origin } = new URL(url);
  printText(context, `Opened ${origin}/ in the browser.\n`);
}

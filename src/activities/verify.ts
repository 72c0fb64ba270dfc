import { Context } from '@temporalio/activity';
import ssh2 from 'ssh2';
import { PerijoveError, messageOf } from '../errors/error.js';
import { readSecrets } from '../hosts/secrets.js';
import { endSessions, runCell } from '../jupyter/client.js';
import { within } from '../net/deadline.js';
import { hostsWithRole, nodeAddress, nodeNames, type ClusterSpec, type HostSpec } from '../cluster/spec.js';
import type { Secrets } from '../cluster/secrets.js';
import type { Endpoint } from '../ssh/connection.js';
import { sshReach } from '../ssh/reach.js';
import type { ActivityDeps } from './deps.js';
import { hostOf } from '../cluster/host-of.js';
import { proxyAddress } from '../proxy/address.js';
import { until, type PollResult } from './poll.js';
import { frameworkStateOf, keeperStateOf } from './workflow-state.js';

export interface VerifyInput {
  readonly spec: ClusterSpec;
}

const cell = { code: '6*7', value: '42' };
const commandTimeoutMs = 20_000;

export function createVerifyActivities({ client, pool }: Pick<ActivityDeps, 'client' | 'pool'>) {
  return {
    /**
     * Runs a notebook cell over a websocket through the proxy of every host, as a browser does. Leaves no kernel, and
     * ends no other than its own.
     *
     * @throws PerijoveError VERIFY_NOTEBOOK_FAILED with the host, after two minutes
     */
    verifyNotebooks: async ({ spec }: VerifyInput): Promise<void> => {
      const { cancellationSignal: signal } = Context.current();
      const reach = sshReach(pool, spec);
      const { 'jupyter-token': token } = await readSecrets(pool, spec, ['jupyter-token']);
      const runNotebook = async (host: HostSpec): Promise<PollResult<undefined>> => {
        const { name } = host;
        const not = (why: string, cause?: unknown) => ({
          not: new PerijoveError('VERIFY_NOTEBOOK_FAILED', `${name}: ${why}`, { host: name, cause }),
        });
        try {
          const { url: base, agent } = await proxyAddress(spec, host, { pool, reach });
          const options = { signal, agent };
          const session = `perijove-verify-${name}`;
          // An earlier attempt may have left its kernel: its worker died, or its farewell was lost.
          await endSessions(base, token, session, options);
          const value = await runCell(base, token, cell.code, { ...options, timeoutMs: 60_000, session });
          await endSessions(base, token, session, options);
          if (value.trim() === cell.value) return { done: undefined };
          return not(`${cell.code} gave ${JSON.stringify(value)}`);
        } catch (error) {
          return not(messageOf(error), error);
        }
      };
      await Promise.all(
        hostsWithRole(spec, 'proxy').map((host) => until(() => runNotebook(host), { everyMs: 1_000 })),
      );
    },

    /**
     * Runs `ssh node-0 hostname` on every node, logged in to its sshd with the nodes' own key: there must be
     * no prompt, and the output must be the leader's name.
     *
     * @throws PerijoveError VERIFY_SSH_FAILED with the node, after two minutes
     */
    verifySsh: async ({ spec }: VerifyInput): Promise<void> => {
      const reach = sshReach(pool, spec);
      const secrets = await readSecrets(pool, spec, ['node-ssh-key', 'node-host-key.pub']);
      await until(async () => {
        const tasks = (await frameworkStateOf(client, spec))?.tasks ?? {};
        const leader = (await keeperStateOf(client, spec))?.verdict?.leader;
        const answers = await Promise.all(
          nodeNames(spec).map(async (node, index) => {
            const task = tasks[node];
            if (task === undefined) return { node, said: 'it has no task' };
            const { become, ssh } = hostOf(spec, task.host);
            const endpoint = await reach.any(nodeAddress(spec, index), spec.nodes.sshPort);
            const user = become === 'sudo' ? 'root' : ssh.user;
            return { node, said: await askForLeader(endpoint, user, secrets) };
          }),
        );
        const wrong = answers.find(({ said }) => said !== leader);
        if (wrong === undefined) return { done: undefined };
        const { node, said } = wrong;
        return {
          not: new PerijoveError(
            'VERIFY_SSH_FAILED',
            `${node}: \`ssh node-0 hostname\` printed ${JSON.stringify(said)} instead of ${leader ?? 'the leader'}`,
            { subject: node },
          ),
        };
      });
    },
  };
}

/** What `ssh node-0 hostname` prints on the node at `endpoint`; else why it printed nothing. */
async function askForLeader(
  endpoint: Endpoint,
  username: string,
  secrets: Pick<Secrets, 'node-ssh-key' | 'node-host-key.pub'>,
): Promise<string> {
  const wanted = ssh2.utils.parseKey(secrets['node-host-key.pub']);
  const connection = new ssh2.Client();
  const answer = new Promise<string>((resolve, reject) => {
    connection
      .on('error', reject)
      .on('ready', () =>
        connection.exec('ssh node-0 hostname', (error, channel) => {
          if (error) return reject(error);
          let output = '';
          const take = (data: Buffer) => (output += data.toString('utf8'));
          channel.on('data', take).on('close', () => resolve(output.trim()));
          channel.stderr.on('data', take);
          channel.end();
        }),
      )
      .connect({
        host: endpoint.host,
        port: endpoint.port,
        username,
        privateKey: secrets['node-ssh-key'],
        readyTimeout: commandTimeoutMs,
        hostVerifier: (key: Buffer) => !(wanted instanceof Error) && wanted.getPublicSSH().equals(key),
      });
  });
  try {
    return await within(commandTimeoutMs, answer, () => new Error(`no answer within ${commandTimeoutMs} ms`));
  } catch (error) {
    return messageOf(error);
  } finally {
    connection.end();
  }
}

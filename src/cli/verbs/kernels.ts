import { nodeAddress, nodeNames, type ClusterSpec } from '../../cluster/spec.js';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { NodeClient } from '../../node/client.js';
import type { NodeKernel } from '../../node/kernels.js';
import { defineCommand, defineGroup, type CommandContext } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printText, textColumns } from '../io.js';
import { reportOf, printReport } from '../report.js';
import { fileOption, openSpec } from '../spec-file.js';
import { table } from '../table.js';

const stopMs = 15_000;

interface Found extends NodeKernel {
  readonly node: string;
}

interface Survey {
  readonly kernels: readonly Found[];
  /** Of nodes whose kernels are not known. */
  readonly errors: readonly PerijoveError[];
}

const listCommand = defineCommand({
  name: 'list',
  summary: 'print which kernels run, where, and for which notebook',
  description:
    'Asks every node. A node that does not answer is named: its kernels are not known, and may run all the same.',
  options: { file: fileOption },
  async run(context, { options }) {
    const { spec } = await openSpec(context, options.file);
    const { kernels, errors } = await withNodes(context, spec, survey);
    if (context.json) {
      printJson(context, {
        cluster: spec.name,
        kernels,
        errors: errors.map(({ code, message }) => ({ code, message })),
      });
    } else {
      if (kernels.length > 0) printText(context, textOf(kernels, context));
      else if (errors.length === 0) printText(context, 'No kernel runs.\n');
      for (const error of errors) printReport(context, reportOf(error));
    }
    return errors[0]?.exitCode ?? exitCodes.done;
  },
});

const stopCommand = defineCommand({
  name: 'stop',
  summary: 'end a kernel and its session',
  description:
    'The notebook stays, and its variables are lost. A page that shows it can start another kernel at any time.',
  args: { kernel: { description: 'its ID, the beginning of it, or the path of its notebook' } },
  options: { file: fileOption },
  examples: [['perijove kernels stop analysis.ipynb', 'free the memory of a notebook that nobody uses']],
  async run(context, { args, options }) {
    const { spec } = await openSpec(context, options.file);
    const stopped = await withNodes(context, spec, async (nodes) => {
      const found = chosen(await survey(nodes), args.kernel);
      await nodes.get(found.node)?.stopKernel({ id: found.id }, { timeoutMs: stopMs });
      return found;
    });
    const { id, node, path } = stopped;
    if (context.json) printJson(context, { result: 'done', kernel: stopped });
    else {
      const what = path === undefined ? id : `${id} of ${path}`;
      printText(context, `${context.colors.green('done')}: stopped kernel ${what} on ${node}\n`);
    }
    return exitCodes.done;
  },
});

type Nodes = ReadonlyMap<string, NodeClient>;

function withNodes<T>(
  context: CommandContext,
  spec: ClusterSpec,
  work: (nodes: Nodes) => Promise<T>,
): Promise<T> {
  return withHosts(context, async (pool) => {
    const [{ readSecrets }, { sshReach }, { nodeClient }] = await Promise.all([
      import('../../hosts/secrets.js'),
      import('../../ssh/reach.js'),
      import('../../node/client.js'),
    ]);
    const { 'node-api-token': token } = await readSecrets(pool, spec, ['node-api-token']);
    const reach = sshReach(pool, spec);
    const nodes = await Promise.all(
      nodeNames(spec).map(async (name, index) => {
        const endpoint = await reach.any(nodeAddress(spec, index), spec.nodes.controlPort);
        return [name, nodeClient(endpoint, token)] as const;
      }),
    );
    return work(new Map(nodes));
  });
}

async function survey(nodes: Nodes): Promise<Survey> {
  const answers = await Promise.all(
    [...nodes].map(async ([node, client]): Promise<readonly Found[] | PerijoveError> => {
      try {
        return (await client.kernels({ timeoutMs: 5_000 })).kernels.map((kernel) => ({ node, ...kernel }));
      } catch (error) {
        if (!(error instanceof PerijoveError)) throw error;
        return new PerijoveError(error.code, `the kernels of ${node} are not known: ${error.message}`, {
          subject: node,
          cause: error,
        });
      }
    }),
  );
  return {
    kernels: answers.flatMap((answer) => (answer instanceof PerijoveError ? [] : answer)),
    errors: answers.flatMap((answer) => (answer instanceof PerijoveError ? [answer] : [])),
  };
}

/** @throws PerijoveError KERNEL_UNKNOWN, or that of a node whose kernels are not known */
export function chosen({ kernels, errors }: Survey, wanted: string): Found {
  const whole = kernels.filter(({ id, path }) => id === wanted || path === wanted);
  const matching = whole.length > 0 ? whole : kernels.filter(({ id }) => id.startsWith(wanted));
  const [found, ...more] = matching;
  if (found !== undefined && more.length === 0) return found;
  if (found === undefined && errors[0] !== undefined) throw errors[0];
  const what = JSON.stringify(wanted);
  const why = found === undefined ? `no kernel matches ${what}` : `${matching.length} kernels match ${what}`;
  throw new PerijoveError('KERNEL_UNKNOWN', why, { subject: wanted });
}

function textOf(kernels: readonly Found[], context: CommandContext): string {
  const { colors } = context;
  const rows = kernels.map(({ path, name, node, state, lastActivity, id }) => [
    ...[path ?? '-', name, node, state, lastActivity.replace(/\.\d+Z$/, 'Z'), id.slice(0, 8)],
  ]);
  const head = ['notebook', 'kernel', 'node', 'state', 'last active', 'ID'].map((each) => colors.dim(each));
  return `${table([head, ...rows], textColumns(context)).join('\n')}\n`;
}

export const kernelsCommand = defineGroup({
  name: 'kernels',
  summary: 'the kernels of notebooks, on all nodes',
  description:
    'Kernels run on the nodes, whichever of them serves Jupyter; through every host people see all.',
  commands: [listCommand, stopCommand],
});

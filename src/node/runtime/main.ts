/** `perijove-node`: what Mesos starts as a node, and what runs in it. */
import { errorCodes } from '../../errors/codes.js';
import { messageOf, PerijoveError } from '../../errors/error.js';
import { nodeLogger } from './log.js';

const usage = `usage: perijove-node start N     run node N, as PERIJOVE_NODE_CONFIG says; ends with SIGTERM
       perijove-node etcd BASE   decide how the node's etcd is started, and prepare it
       perijove-node serve BASE  the node's control API
       perijove-node etcd-data DIR
                                 print as JSON what the nodes with trees in DIR keep of etcd`;

async function main([verb, argument, ...rest]: readonly string[]): Promise<void> {
  if (argument === undefined || rest.length > 0) throw new PerijoveError('USAGE', usage);
  // Each verb loads only what it needs: several of them run in each node.
  switch (verb) {
    case 'start': {
      if (!/^\d+$/.test(argument)) throw new PerijoveError('USAGE', usage);
      const { startNode } = await import('./start.js');
      return startNode(Number(argument), process.env, nodeLogger('start'));
    }
    case 'etcd': {
      const { readStartedNode } = await import('./started.js');
      const { prepareEtcd } = await import('./etcd-start.js');
      return prepareEtcd(await readStartedNode(argument), nodeLogger('etcd'));
    }
    case 'serve': {
      const { serveNode } = await import('./serve.js');
      return serveNode(argument, nodeLogger('control'));
    }
    case 'etcd-data': {
      const { etcdTrees } = await import('./etcd-data.js');
      console.log(JSON.stringify({ trees: await etcdTrees(argument) }));
      return;
    }
    default:
      throw new PerijoveError('USAGE', usage);
  }
}

try {
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  const known = error instanceof PerijoveError ? error : undefined;
  const remedy = known === undefined ? '' : ` ${errorCodes[known.code].remedy}`;
  console.error(
    `perijove-node: ${known?.code ?? 'BUG'}: ${messageOf(error)}${remedy && `\n${remedy.trim()}`}`,
  );
  process.exit(known?.exitCode ?? 1);
}

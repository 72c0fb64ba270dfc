import type { Colors } from 'picocolors/types.js';
import { exitCodes, PerijoveError } from '../../errors/error.js';
import type { PartVersion } from '../../status/part-versions.js';
import type { TemporalClient } from '../../temporal/connect.js';
import { defineCommand } from '../command.js';
import { withHosts } from '../hosts.js';
import { printJson, printText, textColumns } from '../io.js';
import { fileArgument, fileOption, givenFile, openSpec } from '../spec-file.js';
import { hanging, table } from '../table.js';
import { temporalOptions, temporalSettings, withTemporal } from '../temporal.js';
import { packageVersion } from '../version.js';

export const versionsCommand = defineCommand({
  name: 'versions',
  summary: 'print the versions of everything that the cluster runs on',
  description:
    'Reads the versions of Perijove, its workers, the Temporal server, ZooKeeper, Mesos, etcd, JupyterLab, Node.js ' +
    'and Docker, and names those that are out of support or have a known fault. What does not answer is unknown. ' +
    'It changes nothing.',
  args: { file: fileArgument },
  options: { file: fileOption, ...temporalOptions },
  examples: [
    ['perijove versions', 'all versions'],
    ["perijove versions --json | jq '.versions[].note'", 'what is wrong with which'],
  ],
  async run(context, { args, options }) {
    const { spec, absolute } = await openSpec(context, givenFile(args.file, options.file));
    const { readPartVersions } = await import('../../status/part-versions.js');
    const versions = await withHosts(context, async (pool) => {
      const read = (temporal?: Pick<TemporalClient, 'client'>) =>
        readPartVersions({ pool, ...(temporal && { client: temporal.client }) }, spec);
      try {
        return await withTemporal(temporalSettings(context, options, absolute), read);
      } catch (error) {
        // Without the server, the hosts still answer.
        if (!(error instanceof PerijoveError)) throw error;
        return await read();
      }
    });
    const own: PartVersion = {
      ...{ part: 'perijove', at: 'this command', version: packageVersion() },
      ...{ supported: null, note: null },
    };
    const all = [own, ...versions];
    if (context.json) printJson(context, { cluster: spec.name, versions: all });
    else printText(context, versionsText(all, context.colors, textColumns(context)));
    return exitCodes.done;
  },
});

/** One row for each version of a part, with the places that have it; below them, what is wrong with which. */
export function versionsText(versions: readonly PartVersion[], colors: Colors, columns: number): string {
  const keyOf = ({ part, version, note }: PartVersion) => JSON.stringify([part, version, note]);
  const distinct = [...new Map(versions.map((each) => [keyOf(each), each])).values()];
  const rows = distinct.map((each) => {
    const places = versions.filter((other) => keyOf(other) === keyOf(each)).map(({ at }) => at);
    const version = each.version ?? 'unknown';
    return [each.part, each.supported === false ? colors.yellow(version) : version, places.join(', ')];
  });
  const notes = distinct.flatMap(({ part, version, note, supported }) =>
    note === null ? [] : [{ text: `${part} ${version}: ${note}.`, warns: supported === false }],
  );
  const head = ['part', 'version', 'where'].map((name) => colors.dim(name));
  return `${[
    ...table([head, ...rows], columns),
    ...(notes.length === 0 ? [] : ['']),
    ...notes.flatMap(({ text, warns }) => hanging('', warns ? colors.yellow(text) : text, columns)),
  ].join('\n')}\n`;
}

// The programs for hosts: one file each, without node_modules.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import protobuf from 'protobufjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Program name on hosts → its entry. */
export const programs = {
  'mesos-master': 'src/stand-in/master-main.ts',
  'mesos-agent': 'src/stand-in/agent-main.ts',
  'mesos-executor': 'src/stand-in/executor-main.ts',
  'perijove-node': 'src/node/runtime/main.ts',
  'perijove-proxy': 'src/proxy/program/primary.ts',
  'perijove-proxy-worker': 'src/proxy/program/worker.ts',
};

/** Inlines files that dependencies read from their packages at run time. */
const programPlugins = [
  {
    // etcd3 parses its .proto files when loaded; here they are parsed at build time and inlined as JSON.
    name: 'etcd3-proto',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]etcd3[\\/]lib[\\/]connection-pool\.js$/ }, async ({ path: file }) => {
        const source = await readFile(file, 'utf8');
        const call = 'loadSync)(`${__dirname}/../proto/rpc.proto`,';
        if (source.split(call).length !== 2) throw new Error(`${file} does not load its proto as it used to`);
        const proto = path.join(path.dirname(file), '..', 'proto', 'rpc.proto');
        const json = new protobuf.Root().loadSync(proto, { keepCase: true }).toJSON();
        return { contents: source.replace(call, () => `fromJSON)(${JSON.stringify(json)},`), loader: 'js' };
      });
    },
  },
];

/** Builds `<name>.mjs` of each named program (all by default) into `outDir`. */
export async function buildPrograms(outDir, names = Object.keys(programs)) {
  await Promise.all(
    names.map((name) =>
      build({
        entryPoints: [path.join(root, programs[name])],
        outfile: path.join(outDir, `${name}.mjs`),
        bundle: true,
        platform: 'node',
        target: 'node20',
        format: 'esm',
        legalComments: 'none',
        logLevel: 'warning',
        // CommonJS dependencies in an ES module still need these.
        banner: {
          js: [
            "import { createRequire as __createRequire } from 'node:module';",
            "import { fileURLToPath as __fileURLToPath } from 'node:url';",
            "import { dirname as __pathDirname } from 'node:path';",
            'const require = __createRequire(import.meta.url);',
            'const __filename = __fileURLToPath(import.meta.url);',
            'const __dirname = __pathDirname(__filename);',
          ].join('\n'),
        },
        plugins: programPlugins,
      }),
    ),
  );
}

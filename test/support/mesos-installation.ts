/** Mesos installations as on hosts, with the stand-in's programs: no real Mesos runs here. */
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { builtProgram } from './programs.js';

const names = ['mesos-master', 'mesos-agent'] as const;

/** The result of `make install`: `sbin/`, `libexec/mesos/`, `share/mesos/webui/`. */
export async function makePrefix(prefix: string, comment = ''): Promise<void> {
  const launcherDir = `${prefix}/libexec/mesos`;
  await makeSupport(launcherDir, `${prefix}/share/mesos/webui`);
  for (const name of names) await makeProgram(`${prefix}/sbin/${name}`, launcherDir, name, comment);
}

/** The result of `make`: wrappers in `bin/`, and `src/` with everything else. */
export async function makeBuildTree(tree: string): Promise<void> {
  await makeSupport(`${tree}/src`, `${tree}/src/webui`);
  for (const name of names) {
    await makeProgram(`${tree}/src/${name}`, `${tree}/src`, name);
    await makeFile(`${tree}/bin/${name}.sh`, `#!/bin/sh\nexec '${tree}/src/${name}' "$@"\n`);
  }
}

/** The program is copied into the installation: a copied machine may lack this checkout. */
async function makeProgram(
  file: string,
  launcherDir: string,
  name: (typeof names)[number] | 'mesos-executor',
  comment = '',
): Promise<void> {
  const program = `${launcherDir}/${name}.mjs`;
  await copyFile(await builtProgram(name), program);
  await makeFile(file, `#!/bin/sh\n# ${comment}\nexec '${process.execPath}' '${program}' "$@"\n`);
}

async function makeSupport(launcherDir: string, webui: string): Promise<void> {
  await mkdir(launcherDir, { recursive: true });
  await makeProgram(`${launcherDir}/mesos-executor`, launcherDir, 'mesos-executor');
  await makeFile(`${webui}/index.html`, '<!doctype html>\n', 0o644);
}

async function makeFile(file: string, text: string, mode = 0o755): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

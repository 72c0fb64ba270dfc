/** Installations of Mesos as they lie on hosts, whose programs are the stand-in's: no real one runs here. */
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { builtProgram } from './programs.js';

const names = ['mesos-master', 'mesos-agent'] as const;

/** What `make install` leaves: `sbin/`, `libexec/mesos/`, `share/mesos/webui/`. */
export async function makePrefix(prefix: string, comment = ''): Promise<void> {
  for (const name of names) await makeProgram(`${prefix}/sbin/${name}`, name, comment);
  await makeSupport(`${prefix}/libexec/mesos`, `${prefix}/share/mesos/webui`);
}

/** What `make` leaves: wrappers in `bin/`, and `src/` with everything else. */
export async function makeBuildTree(tree: string): Promise<void> {
  for (const name of names) {
    await makeProgram(`${tree}/src/${name}`, name);
    await makeFile(`${tree}/bin/${name}.sh`, `#!/bin/sh\nexec '${tree}/src/${name}' "$@"\n`);
  }
  await makeSupport(`${tree}/src`, `${tree}/src/webui`);
}

async function makeProgram(file: string, name: (typeof names)[number], comment = ''): Promise<void> {
  const program = await builtProgram(name);
  await makeFile(file, `#!/bin/sh\n# ${comment}\nexec '${process.execPath}' '${program}' "$@"\n`);
}

async function makeSupport(launcherDir: string, webui: string): Promise<void> {
  const executor = await builtProgram('mesos-executor');
  await makeFile(
    `${launcherDir}/mesos-executor`,
    `#!/bin/sh\nexec '${process.execPath}' '${executor}' "$@"\n`,
  );
  await symlink(executor, `${launcherDir}/mesos-executor.mjs`);
  await makeFile(`${webui}/index.html`, '<!doctype html>\n', 0o644);
}

async function makeFile(file: string, text: string, mode = 0o755): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
  await chmod(file, mode);
}

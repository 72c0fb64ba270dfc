import { describe, expect, it } from 'vitest';
import { agentReport } from '../../../src/mesos/installation/agent-needs.js';
import { parseInstallation } from '../../../src/mesos/installation/installation.js';
import { makeHost, makeSpec } from '../../support/spec.js';

const host = makeHost('h1', { roles: ['agent'] });
const installed = (version: string, more = '') =>
  parseInstallation(
    `there yes\nprogram mesos-agent /usr/sbin/mesos-agent\nversion mesos-agent ${version}\nflags mesos-agent isolation launcher master systemd_enable_support\n${more}`,
  );
const report = (
  found: ReturnType<typeof installed>,
  agentFlags: Readonly<Record<string, string>> = {},
  containerizer: 'docker' | 'mesos' = 'docker',
) =>
  agentReport(
    makeSpec({
      hosts: [host],
      nodes: { containerizer },
      mesos: { agentFlags, install: { kind: 'package', package: 'mesos' } },
    }),
    host,
    found,
  );

describe('agentReport', () => {
  it('has no warning for what fits, and says unknown for what the host did not report', () => {
    expect(report(installed('1.3.2'))).toEqual({
      host: 'h1',
      facts: [
        'Mesos 1.3.2',
        'control groups unknown',
        'Docker unknown',
        'launcher by default',
        'isolation docker/runtime',
      ],
      warnings: [],
    });
    expect(report(installed('1.3.2', 'control-groups 1\ndocker 20.10.24\n'))?.warnings).toEqual([]);
    expect(report(installed('1.3.2', 'control-groups 2\n'), {}, 'mesos')).toMatchObject({
      facts: ['Mesos 1.3.2', 'control groups v2', 'launcher posix', 'isolation posix/cpu,posix/mem'],
      warnings: [],
    });
    expect(report(parseInstallation(''))).toBeUndefined();
  });

  it('warns of control groups that the release does not know', () => {
    const v2 = 'control-groups 2\n';
    expect(report(installed('1.3.2', v2))?.warnings).toEqual([
      expect.stringContaining('control groups v2 alone, and in this Mesos the launcher `linux` needs v1'),
    ]);
    expect(report(installed('1.3.2', v2), { launcher: 'posix' })?.warnings).toEqual([]);
    expect(
      report(installed('1.3.2', v2), { launcher: 'posix', isolation: 'cgroups/cpu,posix/mem' })?.warnings,
    ).toEqual([expect.stringContaining('in this Mesos cgroups/cpu needs v1')]);
    // Apache's last release and Clusterd call themselves the same; a package tells which one it is.
    expect(report(installed('1.11.0', v2))?.warnings).toEqual([]);
    expect(report(installed('1.11.0', `${v2}package-version 1.11.0-0.5.1\n`))?.warnings).toHaveLength(1);
    expect(report(installed('1.11.0', `${v2}package-version 1.11.0-0.9.0\n`))?.warnings).toEqual([]);
    expect(report(installed('1.11.0', 'control-groups 1\npackage-version 1.11.0-0.9.0\n'))?.warnings).toEqual(
      ['Clusterd 0.6.0 and later require control groups v2, and the host has v1.'],
    );
  });

  it('warns of a Docker that is too new, and of launchers and isolators that Mesos lacks', () => {
    const docker = 'docker 26.1.5+dfsg1\n';
    expect(report(installed('1.3.2', docker))?.warnings).toEqual([
      'Docker 26.1.5+dfsg1 works with Clusterd 0.5.0 and later, not with Apache Mesos.',
    ]);
    expect(report(installed('1.11.0', `${docker}package-version 1.11.0-0.5.1\n`))?.warnings).toEqual([]);
    expect(report(installed('1.3.2', docker), {}, 'mesos')?.warnings).toEqual([]);
    const odd = { launcher: 'unix', isolation: 'posix/cpu,com_example_tea' };
    expect(report(installed('1.3.2'), odd)?.warnings).toEqual([
      'Mesos has no launcher `unix`: use `linux` or `posix`.',
      'Mesos has no isolator `com_example_tea` of its own.',
    ]);
    expect(report(installed('1.3.2'), { ...odd, modules: '/m.json', launcher: 'linux' })?.warnings).toEqual(
      [],
    );
  });
});

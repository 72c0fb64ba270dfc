import { cpus, freemem, loadavg, totalmem } from 'node:os';
import type { Resources } from './resources.js';

/** Total and used resources. The stand-in has no revocable resources. */
export function resourceMetrics(of: 'master' | 'slave', total: Resources, used: Resources) {
  return Object.fromEntries(
    ['cpus', 'gpus', 'mem', 'disk'].flatMap((name) => {
      const all = total.scalars[name] ?? 0;
      const taken = used.scalars[name] ?? 0;
      return [
        [`${of}/${name}_total`, all],
        [`${of}/${name}_used`, taken],
        [`${of}/${name}_percent`, all > 0 ? taken / all : 0],
        [`${of}/${name}_revocable_total`, 0],
        [`${of}/${name}_revocable_used`, 0],
        [`${of}/${name}_revocable_percent`, 0],
      ];
    }),
  );
}

/** System metrics in `/metrics/snapshot` of every Mesos program. */
export function systemMetrics(): Record<string, number> {
  return Object.fromEntries(
    Object.entries(systemStats()).map(([name, value]) => [`system/${name.replace(/^avg_/, '')}`, value]),
  );
}

/** `/system/stats.json` */
export function systemStats(): Record<string, number> {
  const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
  return {
    avg_load_1min: load1,
    avg_load_5min: load5,
    avg_load_15min: load15,
    cpus_total: cpus().length,
    mem_free_bytes: freemem(),
    mem_total_bytes: totalmem(),
  };
}

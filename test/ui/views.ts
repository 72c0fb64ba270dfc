import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { ClusterView } from '../../src/ui/view.js';

type Name = 'ready' | 'drilled' | 'crashed' | 'stale' | 'temporal';

/**
 * What `perijove ui` has shown of a lab: `ready`; `drilled`: after the drill node-kill and a move; `crashed`: h2 is down;
 * `stale`: all workers are dead; `temporal`: its server, too.
 */
export function recordedView(name: Name): ClusterView {
  const file = path.join(import.meta.dirname, '..', 'fixtures', 'ui', `${name}.json`);
  return JSON.parse(readFileSync(file, 'utf8')) as ClusterView;
}

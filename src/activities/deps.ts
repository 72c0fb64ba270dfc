import type { Client } from '@temporalio/client';
import type { Logger } from 'pino';
import type { LabFaults } from '../drill/lab.js';
import type { Artifacts } from '../hosts/converge.js';
import type { SshPool } from '../ssh/connection.js';
import type { Receiver } from './receivers.js';

/** What activities depend on. One instance per worker. */
export interface ActivityDeps {
  /** For activities that must store something in a workflow before they continue. */
  readonly client: Client;
  readonly pool: SshPool;
  readonly logger: Logger;
  readonly artifacts: Artifacts;
  /** The faults that the lab can inject, if the worker runs in one. */
  readonly lab?: LabFaults;
  /** Whom this worker notifies. */
  readonly receivers?: readonly Receiver[];
}
